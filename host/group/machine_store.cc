// The keys and values of one on-disk machine: what lies on disk, and over it what has changed
// since.
#include "host/group/machine_store.h"

#include <cstring>
#include <utility>

namespace flotilla::group {
namespace {

constexpr std::string_view kSectionMagic = "FLOTROWS";
constexpr uint32_t kEndOfRows = UINT32_MAX;
constexpr uint32_t kRowBytesMax = 64 << 20;  // of a key or a value in a snapshot
constexpr uint64_t kNodeBytes = 128;         // of the map, and two strings' heads
constexpr size_t kPieceBytes = 64 * 1024;

void putNumber(std::string& to, uint64_t number, size_t size) {
  to.append(reinterpret_cast<const char*>(&number), size);
}

// "FLOTROWS", state version u32; for each row key length u32, value length u32, key, value; at the
// end 2^32 - 1 and how many rows there were, u64.
//
// Thread: any one. Errors: the sink's or the walk's.
class RowsCapture final : public Capture {
public:
  RowsCapture(std::shared_ptr<const HeldKeys> keys, uint32_t stateVersion, uint64_t bytesMax)
      : keys_(std::move(keys)), stateVersion_(stateVersion), bytesMax_(bytesMax) {}

  Result<void> save(SnapshotSink& sink) const override {
    std::string piece(kSectionMagic);
    putNumber(piece, stateVersion_, 4);
    auto walk = keys_->walk({});
    std::string_view key;
    std::string_view value;
    uint64_t bytes = 0;
    for (uint64_t rows = 0;; ++rows) {
      auto more = walk->next(key, value);
      if (!more) return more.fault();
      if (!*more) {
        putNumber(piece, kEndOfRows, 4);
        putNumber(piece, rows, 8);
        return sink.write(piece);
      }
      putNumber(piece, key.size(), 4);
      putNumber(piece, value.size(), 4);
      piece += key;
      piece += value;
      bytes += key.size() + value.size();
      if (bytes > bytesMax_) return Fault{ErrorCode::tooLarge, "snapshot: too many rows", {}};
      if (piece.size() < kPieceBytes) continue;
      if (auto written = sink.write(piece); !written) return written;
      piece.clear();
    }
  }

private:
  std::shared_ptr<const HeldKeys> keys_;
  uint32_t stateVersion_;
  uint64_t bytesMax_;
};

// Reads whole numbers and texts off a source.
//
// Owner: one load. Thread: one. Errors: `fault`, after which all reads give nothing.
class RowsReader {
public:
  explicit RowsReader(SnapshotSource& source) : source_(source) {}

  uint64_t number(size_t size) {
    uint64_t number = 0;
    fill(reinterpret_cast<char*>(&number), size);
    return number;
  }
  void text(std::string& to, size_t size) {
    to.resize(size);
    fill(to.data(), size);
  }
  void damaged(const char* what) {
    if (!fault_) fault_ = Fault{ErrorCode::corrupt, std::string("snapshot: its rows ") + what, {}};
  }
  const std::optional<Fault>& fault() const { return fault_; }

private:
  void fill(char* to, size_t size) {
    while (size > 0 && !fault_) {
      auto got = source_.read(to, size);
      if (!got) {
        fault_ = got.fault();
      } else if (*got == 0) {
        damaged("end too early");
      } else {
        to += *got;
        size -= *got;
      }
    }
  }

  SnapshotSource& source_;
  std::optional<Fault> fault_;
};

}  // namespace

// Two walks at once, where what is gathered hides what is kept.
//
// Owner: whoever walks; refers to the store.
// Thread: the store's.
// Errors: the kept walk's.
class MachineStore::Merged final : public KeyWalk {
public:
  Merged(MachineStore& store, std::string_view from)
      : store_(store),
        from_(from),
        kept_(store.keys_->walk(from)),
        gathered_(store.gathered_.lower_bound(from)),
        changes_(store.changes_) {}

  Result<bool> next(std::string_view& key, std::string_view& value) override {
    if (changes_ != store_.changes_) {
      gathered_ =
          last_ ? store_.gathered_.upper_bound(*last_) : store_.gathered_.lower_bound(from_);
      changes_ = store_.changes_;
    }
    while (true) {
      if (!looked_) {
        auto more = kept_->next(keptKey_, keptValue_);
        if (!more) return more.fault();
        keptEnded_ = !*more;
        looked_ = true;
      }
      bool gatheredEnded = gathered_ == store_.gathered_.end();
      if (keptEnded_ && gatheredEnded) return false;
      if (gatheredEnded || (!keptEnded_ && keptKey_ < gathered_->first)) {
        looked_ = false;
        key = keptKey_;
        value = keptValue_;
        last_ = key;
        return true;
      }
      if (!keptEnded_ && keptKey_ == gathered_->first) looked_ = false;  // hidden
      auto at = gathered_++;
      if (!at->second) continue;
      key = at->first;
      value = *at->second;
      last_ = key;
      return true;
    }
  }

private:
  MachineStore& store_;
  const std::string from_;
  std::unique_ptr<KeyWalk> kept_;
  std::string_view keptKey_;
  std::string_view keptValue_;
  bool looked_ = false;  // keptKey_ is the next of the kept ones
  bool keptEnded_ = false;
  KeyChanges::const_iterator gathered_;
  std::optional<std::string> last_;  // given
  uint64_t changes_;
};

Result<bool> MachineStore::get(std::string_view key, std::string& value) {
  auto gathered = gathered_.find(key);
  if (gathered == gathered_.end()) return keys_->get(key, value);
  if (gathered->second) value = *gathered->second;
  return gathered->second.has_value();
}

void MachineStore::set(std::string_view key, std::string_view value) {
  gather(key, std::string(value));
}

// What is kept under the key, if anything is, must not be found any more.
void MachineStore::erase(std::string_view key) {
  gather(key, std::nullopt);
}

void MachineStore::gather(std::string_view key, std::optional<std::string> value) {
  auto at = gathered_.lower_bound(key);
  if (at == gathered_.end() || at->first != key) {
    at = gathered_.emplace_hint(at, std::string(key), std::nullopt);
    gatheredBytes_ += key.size() + kNodeBytes;
    ++changes_;
  }
  if (at->second) gatheredBytes_ -= at->second->size();
  at->second = std::move(value);
  if (at->second) gatheredBytes_ += at->second->size();
}

std::unique_ptr<KeyWalk> MachineStore::walk(std::string_view from) {
  return std::make_unique<Merged>(*this, from);
}

Result<void> MachineStore::sync(raft::LogPoint at, Bytes groupState) {
  if (auto written = keys_->write(gathered_, {at, std::move(groupState)}); !written) return written;
  forget();
  return {};
}

Fault advised(Fault fault, const std::string& retry, const std::string& rebuild) {
  if (fault.code == ErrorCode::diskFull) {
    fault.text += "; it goes on once there is room";
  } else if (fault.code == ErrorCode::io) {
    fault.text += "; once its disk is well, " + retry + " goes back to what it has kept, and " +
                  rebuild + " makes it anew";
  } else if (fault.code == ErrorCode::corrupt) {
    fault.text += "; if its disk is well, " + rebuild + " makes it anew";
  }
  return fault;
}

Result<void> MachineStore::revert() {
  forget();
  return keys_->mend();
}

void MachineStore::forget() {
  gathered_.clear();
  gatheredBytes_ = 0;
  ++changes_;
  static_cast<void>(isCrowded());
}

std::unique_ptr<Capture> MachineStore::capture(uint32_t stateVersion, uint64_t bytesMax) {
  return std::make_unique<RowsCapture>(keys_->hold(), stateVersion, bytesMax);
}

Result<void> MachineStore::load(SnapshotSource& source, uint32_t stateVersion) {
  RowsReader in(source);
  std::string key;
  std::string value;
  in.text(key, kSectionMagic.size());
  auto version = static_cast<uint32_t>(in.number(4));
  if (in.fault()) return *in.fault();
  if (key != kSectionMagic) {
    return Fault{ErrorCode::badRequest,
                 "snapshot: a machine in memory wrote it, which one on disk cannot take over",
                 {}};
  }
  if (version != stateVersion) {
    return Fault{ErrorCode::badRequest,
                 "snapshot: of state version " + std::to_string(version) + ", this machine has " +
                     std::to_string(stateVersion),
                 {}};
  }
  for (uint64_t rows = 0; !in.fault(); ++rows) {
    uint64_t keyBytes = in.number(4);
    if (keyBytes == kEndOfRows) {
      if (in.number(8) != rows) in.damaged("are not as many as its end says");
      break;
    }
    uint64_t valueBytes = in.number(4);
    if (keyBytes > kRowBytesMax || valueBytes > kRowBytesMax) in.damaged("are past all bounds");
    if (in.fault()) break;
    in.text(key, keyBytes);
    in.text(value, valueBytes);
    if (in.fault()) break;
    set(key, value);
    if (gatheredBytes_ < kSpillBytes) continue;
    if (auto spilt = sync({}, {}); !spilt) return spilt;
  }
  if (in.fault()) return *in.fault();
  return {};
}

}  // namespace flotilla::group
