// JSON as it was written: numbers by their digits, fields in order, repeated ones kept.
#include "admin/json_tree.h"

#include <nlohmann/json.hpp>

namespace flotilla::admin {
namespace {

constexpr size_t kShownBytesMax = 40;
constexpr int kNumberTooLarge = 406;  // nlohmann's number for it

// Builds a tree from nlohmann's events.
//
// Owner:  parseJson.
// Thread: one.
// Errors: `fault` has the first; the parser stops there.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
public:
  JsonTree root;
  std::string fault;

  bool null() override { return put(JsonTree{}); }
  bool boolean(bool value) override {
    JsonTree it;
    it.kind = JsonTree::Kind::boolean;
    it.boolean = value;
    return put(std::move(it));
  }
  bool number_integer(number_integer_t value) override { return number(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return number(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& written) override { return number(written); }
  bool string(string_t& value) override { return put(JsonTree::ofString(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(JsonTree::Kind::object); }
  bool key(string_t& value) override {
    open_.back()->fields.emplace_back(std::move(value), JsonTree{});
    return true;
  }
  bool end_object() override { return closeOne(); }
  bool start_array(std::size_t) override { return open(JsonTree::Kind::list); }
  bool end_array() override { return closeOne(); }
  bool parse_error(std::size_t position, const std::string& last,
                   const nlohmann::detail::exception& why) override {
    // A number that no double holds is the one thing that is JSON and yet not read.
    if (why.id == kNumberTooLarge) {
      fault = "JSON: number " + last.substr(0, kShownBytesMax) + " is larger than any that is kept";
      return false;
    }
    fault = "not JSON: at byte " + std::to_string(position) + ", after \"" +
            last.substr(0, kShownBytesMax) + "\"";
    return false;
  }

private:
  bool number(const std::string& written) {
    JsonTree it;
    it.kind = JsonTree::Kind::number;
    it.text = written;
    return put(std::move(it));
  }

  bool open(JsonTree::Kind kind) {
    if (open_.size() >= kJsonDepthMax) {
      fault = "JSON: more than " + std::to_string(kJsonDepthMax) + " levels deep";
      return false;
    }
    JsonTree it;
    it.kind = kind;
    open_.push_back(place(std::move(it)));
    return true;
  }

  bool put(JsonTree&& it) {
    place(std::move(it));
    return true;
  }

  // The pointers in open_ stay good: a list or object grows only at its end while it is the
  // innermost one, and then none of its items is open.
  JsonTree* place(JsonTree&& it) {
    if (open_.empty()) {
      root = std::move(it);
      return &root;
    }
    JsonTree& parent = *open_.back();
    if (parent.kind == JsonTree::Kind::list) return &parent.items.emplace_back(std::move(it));
    return &(parent.fields.back().second = std::move(it));
  }

  bool closeOne() {
    open_.pop_back();
    return true;
  }

  std::vector<JsonTree*> open_;
};

}  // namespace

JsonTree JsonTree::ofString(std::string text) {
  JsonTree it;
  it.kind = Kind::string;
  it.text = std::move(text);
  return it;
}

Result<JsonTree> parseJson(std::string_view text) {
  TreeBuilder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return Fault{ErrorCode::badRequest, builder.fault, ""};
  }
  return std::move(builder.root);
}

std::string describe(const JsonTree& tree) {
  switch (tree.kind) {
    case JsonTree::Kind::null:
      return "null";
    case JsonTree::Kind::boolean:
      return tree.boolean ? "true" : "false";
    case JsonTree::Kind::number:
      return tree.text.substr(0, kShownBytesMax);
    case JsonTree::Kind::string: {
      bool cut = tree.text.size() > kShownBytesMax;
      nlohmann::json shown = tree.text.substr(0, kShownBytesMax) + (cut ? "…" : "");
      return shown.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    case JsonTree::Kind::list:
      return "a list";
    case JsonTree::Kind::object:
      return "an object";
  }
  return "nothing";
}

// As RFC 3629 has it: shortest forms only, no surrogates, nothing past U+10FFFF.
bool isUtf8(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    auto lead = static_cast<unsigned char>(bytes[at]);
    size_t more = lead < 0x80 ? 0 : lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || at + more >= bytes.size()) return false;
    for (size_t i = 1; i <= more; ++i) {
      auto next = static_cast<unsigned char>(bytes[at + i]);
      unsigned low = 0x80;
      unsigned high = 0xbf;
      if (i == 1 && lead == 0xe0) low = 0xa0;
      if (i == 1 && lead == 0xed) high = 0x9f;
      if (i == 1 && lead == 0xf0) low = 0x90;
      if (i == 1 && lead == 0xf4) high = 0x8f;
      if (next < low || next > high) return false;
    }
    at += more + 1;
  }
  return true;
}

}  // namespace flotilla::admin
