// A group's configuration as a struct of the plugin's schema.
#pragma once

#include <charconv>
#include <concepts>
#include <limits>
#include <string>

#include <capnp/dynamic.h>

#include "flotilla/config.h"

namespace flotilla {

// A machine with typed options names a struct of its schema and is constructed from its reader:
//
//   using Options = LimitsOptions;               # struct LimitsOptions { maxKeys @0 :UInt32 = 100;
//   } explicit Limits(Options::Reader options);    // valid during the constructor only
template <typename Machine>
concept TakesOptions = requires {
  typename Machine::Options::Reader;
  requires std::is_constructible_v<Machine, typename Machine::Options::Reader>;
};

// Fills a struct's fields from the keys that are called like them; what is not given keeps the
// schema's default. Numbers, Bool (true, false), enums by name, Text and Data.
//
// Thread: the constructor's.
// Errors: throws Error `badConfig`, which names key, value and what is needed.
class OptionFiller {
public:
  OptionFiller(const Config& config, capnp::DynamicStruct::Builder to) : config_(config), to_(to) {}

  void fill() {
    for (auto field : to_.getSchema().getFields()) {
      std::string key = field.getProto().getName().cStr();
      if (const std::string* value = config_.given(key)) set(field, key, *value);
    }
  }

private:
  [[noreturn]] static void refuse(const std::string& key, const std::string& value,
                                  const std::string& needed) {
    throw Error("badConfig", "config " + key + " \"" + value + "\": needs " + needed);
  }

  template <typename Number>
  void setNumber(capnp::StructSchema::Field field, const std::string& key,
                 const std::string& value) {
    Number number{};
    auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (fault != std::errc() || end != value.data() + value.size()) {
      std::string needed = "a number";
      if constexpr (std::integral<Number>) {
        needed = "a whole number from " + std::to_string(std::numeric_limits<Number>::min()) +
                 " to " + std::to_string(std::numeric_limits<Number>::max());
      }
      refuse(key, value, needed);
    }
    to_.set(field, number);
  }
  void setBool(capnp::StructSchema::Field field, const std::string& key, const std::string& value) {
    if (value != "true" && value != "false") refuse(key, value, "true or false");
    to_.set(field, value == "true");
  }
  void setEnum(capnp::StructSchema::Field field, const std::string& key, const std::string& value) {
    capnp::EnumSchema type = field.getType().asEnum();
    KJ_IF_MAYBE (enumerant, type.findEnumerantByName(value.c_str())) {
      to_.set(field, capnp::DynamicEnum(*enumerant));
      return;
    }
    std::string names;
    for (auto one : type.getEnumerants()) {
      names += (names.empty() ? "" : ", ") + std::string(one.getProto().getName().cStr());
    }
    refuse(key, value, "one of " + names);
  }

  void set(capnp::StructSchema::Field field, const std::string& key, const std::string& value) {
    switch (field.getType().which()) {
      case capnp::schema::Type::BOOL:
        return setBool(field, key, value);
      case capnp::schema::Type::INT8:
        return setNumber<int8_t>(field, key, value);
      case capnp::schema::Type::INT16:
        return setNumber<int16_t>(field, key, value);
      case capnp::schema::Type::INT32:
        return setNumber<int32_t>(field, key, value);
      case capnp::schema::Type::INT64:
        return setNumber<int64_t>(field, key, value);
      case capnp::schema::Type::UINT8:
        return setNumber<uint8_t>(field, key, value);
      case capnp::schema::Type::UINT16:
        return setNumber<uint16_t>(field, key, value);
      case capnp::schema::Type::UINT32:
        return setNumber<uint32_t>(field, key, value);
      case capnp::schema::Type::UINT64:
        return setNumber<uint64_t>(field, key, value);
      case capnp::schema::Type::FLOAT32:
        return setNumber<float>(field, key, value);
      case capnp::schema::Type::FLOAT64:
        return setNumber<double>(field, key, value);
      case capnp::schema::Type::ENUM:
        return setEnum(field, key, value);
      case capnp::schema::Type::TEXT:
        return to_.set(field, capnp::Text::Reader(value.c_str(), value.size()));
      case capnp::schema::Type::DATA:
        return to_.set(field, capnp::Data::Reader(reinterpret_cast<const kj::byte*>(value.data()),
                                                  value.size()));
      default:
        refuse(key, value, "a field of its struct that text can fill: a number, Bool, enum, Text");
    }
  }

  const Config& config_;
  capnp::DynamicStruct::Builder to_;
};

}  // namespace flotilla
