// One table of a TOML file, read key by key; what nobody asks for is refused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "flotilla/result.h"

namespace flotilla::runtime {

inline constexpr uint64_t kHostIdMax = 1'000'000;

// Collects the first fault of a reading; later ones would only confuse.
//
// Thread: one.
// Errors: the first is kept, with its place.
class Reading {
public:
  explicit Reading(std::string file) : file_(std::move(file)) {}

  void refuse(const std::string& key, const toml::source_region* where, const std::string& text) {
    if (fault_) return;
    missing_ = where == nullptr;
    std::string place = "config " + file_;
    if (where != nullptr && where->begin.line > 0) {
      place += ":" + std::to_string(where->begin.line) + ":" + std::to_string(where->begin.column);
    }
    fault_ =
        Fault{ErrorCode::badRequest, place + ": " + (key.empty() ? "" : key + ": ") + text, ""};
  }
  void refuse(const std::string& key, const toml::node& node, const std::string& text) {
    refuse(key, &node.source(), text);
  }

  // A key that nobody knows is likely the one that another is missed for: it goes before that.
  void refuseUnknown(const std::string& key, const toml::source_region& where,
                     const std::string& text) {
    if (missing_) fault_.reset();
    refuse(key, &where, text);
  }

  bool failed() const { return fault_.has_value(); }
  const Fault& fault() const { return *fault_; }

private:
  std::string file_;
  std::optional<Fault> fault_;
  bool missing_ = false;  // the fault is of something that is not there
};

inline std::string typeOf(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "text \"" + node.as_string()->get() + "\"";
    case toml::node_type::integer:
      return "number " + std::to_string(node.as_integer()->get());
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::floating_point:
      return "a fraction";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    default:
      return "a date";
  }
}

// One table of the file: hands out its keys and, at the end, refuses those nobody asked for.
//
// Owner:  refers to the Reading and the table, which outlive it.
// Thread: one.
// Errors: into the Reading.
class Section {
public:
  Section(Reading& reading, const toml::table* table, std::string name)
      : reading_(reading), table_(table), name_(std::move(name)) {}

  const toml::node* get(const char* key) {
    known_.insert(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  std::string path(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }

  void text(const char* key, std::string& into) {
    const toml::node* node = get(key);
    if (node == nullptr) return;
    if (!node->is_string()) {
      reading_.refuse(path(key), *node, "found " + typeOf(*node) + "; write a text in quotes");
    } else {
      into = node->as_string()->get();
    }
  }
  void flag(const char* key, bool& into) {
    const toml::node* node = get(key);
    if (node == nullptr) return;
    if (!node->is_boolean()) {
      reading_.refuse(path(key), *node, "found " + typeOf(*node) + "; write true or false");
    } else {
      into = node->as_boolean()->get();
    }
  }
  template <typename T>
  void number(const char* key, T& into, uint64_t min, uint64_t max) {
    const toml::node* node = get(key);
    if (node == nullptr) return;
    if (auto value = numberOf(path(key), *node, min, max)) into = static_cast<T>(*value);
  }
  std::optional<uint64_t> numberOf(const std::string& key, const toml::node& node, uint64_t min,
                                   uint64_t max) {
    std::string range = std::to_string(min) + " to " + std::to_string(max);
    if (!node.is_integer()) {
      reading_.refuse(key, node, "found " + typeOf(node) + "; write a number from " + range);
      return std::nullopt;
    }
    int64_t value = node.as_integer()->get();
    if (value < 0 || static_cast<uint64_t>(value) < min || static_cast<uint64_t>(value) > max) {
      reading_.refuse(key, node, std::to_string(value) + " is out of range; write " + range);
      return std::nullopt;
    }
    return static_cast<uint64_t>(value);
  }
  void ids(const char* key, std::vector<uint64_t>& into) {
    const toml::node* node = get(key);
    if (node == nullptr) return;
    if (!node->is_array()) {
      reading_.refuse(path(key), *node, "found " + typeOf(*node) + "; write a list such as [1, 2]");
      return;
    }
    for (const toml::node& item : *node->as_array()) {
      if (auto id = numberOf(path(key), item, 1, kHostIdMax)) into.push_back(*id);
    }
  }
  void texts(const char* key, std::vector<std::string>& into) {
    const toml::node* node = get(key);
    if (node == nullptr) return;
    if (!node->is_array()) {
      reading_.refuse(path(key), *node, "found " + typeOf(*node) + "; write a list of texts");
      return;
    }
    for (const toml::node& item : *node->as_array()) {
      if (!item.is_string()) {
        reading_.refuse(path(key), item, "found " + typeOf(item) + "; write a text in quotes");
        return;
      }
      into.push_back(item.as_string()->get());
    }
  }
  void map(const char* key, std::map<std::string, std::string>& into) {
    const toml::node* node = get(key);
    if (node == nullptr) return;
    if (!node->is_table()) {
      reading_.refuse(path(key), *node, "found " + typeOf(*node) + "; write a table { a = 1 }");
      return;
    }
    for (const auto& [name, value] : *node->as_table()) {
      std::string at(name.str());
      if (value.is_string()) {
        into[at] = value.as_string()->get();
      } else if (value.is_integer()) {
        into[at] = std::to_string(value.as_integer()->get());
      } else if (value.is_boolean()) {
        into[at] = value.as_boolean()->get() ? "true" : "false";
      } else {
        reading_.refuse(path(key) + "." + at, value,
                        "found " + typeOf(value) + "; write a text, a number, true or false");
      }
    }
  }
  const toml::table* table() const { return table_; }

  // Refuses what was never asked for.
  void end() {
    if (table_ == nullptr) return;
    for (const auto& [key, value] : *table_) {
      std::string at(key.str());
      if (known_.count(at) != 0) continue;
      std::string all;
      for (const std::string& each : known_) all += (all.empty() ? "" : ", ") + each;
      reading_.refuseUnknown(path(at), key.source(), "unknown key; known here: " + all);
    }
  }

private:
  Reading& reading_;
  const toml::table* table_;
  std::string name_;
  std::set<std::string> known_;
};

}  // namespace flotilla::runtime
