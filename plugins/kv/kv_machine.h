// Keys and values, in order; in memory or on disk.
#pragma once

#include <flotilla/plugin.h>

#include "kv.capnp.h"

using flotilla::bytes;

// `TableOf`: flotilla::Table or flotilla::DiskTable.
//
// Thread: the host's, one at a time.
// Errors: emptyKey, keyTooLong, valueTooLarge.
template <template <typename, typename> typename TableOf>
class KvMachineOf {
public:
  static constexpr size_t kKeyBytesMax = 4096;
  static constexpr size_t kValueBytesMax = size_t{1} << 20;
  static constexpr uint32_t kListDefault = 100;
  static constexpr uint32_t kListMax = 1000;
  static constexpr size_t kListBytesMax = size_t{1} << 20;
  static constexpr std::string_view kFrees[] = {"remove"};  // past a quota of memory, too

  void put(const flotilla::Entry& entry, Kv::PutParams::Reader in, Kv::PutResults::Builder out) {
    std::string_view key = checkedKey(in.getKey());
    values_.set(key, checkedValue(in.getValue()));
    out.setRevision(entry.index());
  }

  void get(const flotilla::View&, Kv::GetParams::Reader in, Kv::GetResults::Builder out) const {
    if (auto value = values_.find(checkedKey(in.getKey()))) {
      out.setValue(flotilla::data(*value));
      out.setFound(true);
    }
  }

  void remove(const flotilla::Entry&, Kv::RemoveParams::Reader in, Kv::RemoveResults::Builder out) {
    out.setRemoved(values_.erase(checkedKey(in.getKey())));
  }

  void list(const flotilla::View&, Kv::ListParams::Reader in, Kv::ListResults::Builder out) const {
    uint32_t limit = in.getLimit() == 0 ? kListDefault : std::min(in.getLimit(), kListMax);
    std::vector<typename Values::Item> items;
    size_t size = 0;
    bool more = false;
    std::string_view after = bytes(in.getAfter());
    for (const auto& item : values_.withPrefix(bytes(in.getPrefix()), after)) {
      if (!after.empty() && item.key == after) continue;
      if (items.size() == limit || (size > 0 && size + item.value.size() > kListBytesMax)) {
        more = true;
        break;
      }
      items.push_back(item);
      size += item.key.size() + item.value.size();
    }
    auto entries = out.initEntries(static_cast<unsigned>(items.size()));
    for (unsigned i = 0; i < entries.size(); ++i) {
      entries[i].setKey(flotilla::text(items[i].key));
      entries[i].setValue(flotilla::data(items[i].value));
    }
    if (more) out.setNext(flotilla::text(items.back().key));
  }

  void compareAndSet(const flotilla::Entry& entry, Kv::CompareAndSetParams::Reader in,
                     Kv::CompareAndSetResults::Builder out) {
    std::string_view key = checkedKey(in.getKey());
    std::string_view value = checkedValue(in.getValue());
    auto current = values_.find(key);
    bool asExpected =
        in.getExpectAbsent() ? !current : current && *current == bytes(in.getExpected());
    if (!asExpected) {
      if (current) out.setCurrent(flotilla::data(*current));
      out.setFound(bool(current));
      return;
    }
    values_.set(key, value);
    out.setSet(true);
    out.setRevision(entry.index());
  }

  void size(const flotilla::View&, Kv::SizeParams::Reader, Kv::SizeResults::Builder out) const {
    out.setEntries(values_.size());
  }

  void prepare(Kv::PutParams::Reader in) const { values_.prefetch(bytes(in.getKey())); }

private:
  using Values = TableOf<std::string, std::string>;

  static std::string_view checkedKey(capnp::Text::Reader key) {
    if (key.size() == 0) throw flotilla::Error("emptyKey", "a key needs at least one byte");
    if (key.size() > kKeyBytesMax) {
      throw flotilla::Error("keyTooLong", "a key has at most " + std::to_string(kKeyBytesMax) +
                                              " bytes, this one " + std::to_string(key.size()));
    }
    return bytes(key);
  }
  static std::string_view checkedValue(capnp::Data::Reader value) {
    if (value.size() > kValueBytesMax) {
      throw flotilla::Error("valueTooLarge",
                            "a value has at most " + std::to_string(kValueBytesMax) +
                                " bytes, this one " + std::to_string(value.size()));
    }
    return bytes(value);
  }

  Values values_;
};
