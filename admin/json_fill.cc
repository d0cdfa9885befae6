// Values from JSON into Cap'n Proto.
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "admin/json_value.h"

namespace flotilla::admin {
namespace {

using capnp::DynamicList;
using capnp::DynamicStruct;
using Which = capnp::schema::Type::Which;

Fault at(const std::string& path, const std::string& text) {
  return {ErrorCode::badRequest, (path.empty() ? "" : path + ": ") + text, ""};
}

Fault expected(const std::string& path, const std::string& what, const JsonTree& found) {
  return at(path, "expected " + what + ", found " + describe(found));
}

std::string join(const std::string& path, const std::string& field) {
  return path.empty() ? field : path + "." + field;
}

// A place that takes one value: a struct's field or a list's element.
//
// Thread: one.
// Errors: none.
class Place {
public:
  Place(DynamicStruct::Builder holder, capnp::StructSchema::Field field)
      : struct_(holder), field_(field), type_(field.getType()) {}
  Place(DynamicList::Builder holder, unsigned index)
      : list_(holder), index_(index), type_(holder.getSchema().getElementType()) {}

  capnp::Type type() const { return type_; }
  bool group() const {
    KJ_IF_MAYBE (field, field_) {
      return field->getProto().isGroup();
    }
    return false;
  }

  void set(const capnp::DynamicValue::Reader& value) {
    KJ_IF_MAYBE (field, field_) {
      KJ_ASSERT_NONNULL(struct_).set(*field, value);
    } else {
      KJ_ASSERT_NONNULL(list_).set(index_, value);
    }
  }
  DynamicStruct::Builder structure() {
    KJ_IF_MAYBE (field, field_) {
      return KJ_ASSERT_NONNULL(struct_).init(*field).as<capnp::DynamicStruct>();
    }
    return KJ_ASSERT_NONNULL(list_)[index_].as<capnp::DynamicStruct>();
  }
  DynamicList::Builder list(unsigned size) {
    KJ_IF_MAYBE (field, field_) {
      return KJ_ASSERT_NONNULL(struct_).init(*field, size).as<capnp::DynamicList>();
    }
    return KJ_ASSERT_NONNULL(list_).init(index_, size).as<capnp::DynamicList>();
  }

private:
  kj::Maybe<DynamicStruct::Builder> struct_;
  kj::Maybe<capnp::StructSchema::Field> field_;
  kj::Maybe<DynamicList::Builder> list_;
  unsigned index_ = 0;
  capnp::Type type_;
};

// 1.50e1 and 15 are the same whole number; 1.5 is none. Exact for whatever fits 64 bits.
struct Whole {
  bool negative = false;
  uint64_t magnitude = 0;
};
enum class Reading { good, fraction, large, none };

// The digits of a decimal number with the point and the exponent worked in.
bool decimalDigits(std::string_view text, bool& negative, std::string& digits, int64_t& scale) {
  negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  size_t e = std::min(text.find_first_of("eE"), text.size());
  std::string_view mantissa = text.substr(0, e);
  std::string exponent(e < text.size() ? text.substr(e + 1) : "0");
  size_t point = std::min(mantissa.find('.'), mantissa.size());
  digits = std::string(mantissa.substr(0, point));
  if (point < mantissa.size()) digits += mantissa.substr(point + 1);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return false;
  if (exponent.size() > 1 && exponent[0] == '+') exponent.erase(0, 1);
  auto [stop, error] = std::from_chars(exponent.data(), exponent.data() + exponent.size(), scale);
  if (error == std::errc::result_out_of_range) scale = exponent[0] == '-' ? -100'000 : 100'000;
  if (error == std::errc::invalid_argument || stop != exponent.data() + exponent.size())
    return false;
  if (point < mantissa.size()) scale -= static_cast<int64_t>(mantissa.size() - point - 1);
  return true;
}

Reading readWhole(std::string_view text, Whole& out) {
  std::string digits;
  int64_t scale = 0;
  if (!decimalDigits(text, out.negative, digits, scale)) return Reading::none;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  while (!digits.empty() && digits.back() == '0' && scale < 0) {
    digits.pop_back();
    ++scale;
  }
  if (digits.empty()) return Reading::good;
  if (scale < 0) return Reading::fraction;
  if (static_cast<int64_t>(digits.size()) + scale > 20) return Reading::large;
  digits.append(static_cast<size_t>(scale), '0');
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.magnitude);
  return error == std::errc() ? Reading::good : Reading::large;
}

template <typename T>
std::string rangeText() {
  return "a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
         std::to_string(std::numeric_limits<T>::max());
}

template <typename T>
Result<void> setInteger(Place& place, const JsonTree& json, const std::string& path) {
  Fault bad = expected(path, rangeText<T>(), json);
  if (json.kind != JsonTree::Kind::number && json.kind != JsonTree::Kind::string) return bad;
  Whole whole;
  if (readWhole(json.text, whole) != Reading::good) return bad;
  constexpr uint64_t kMost = static_cast<uint64_t>(std::numeric_limits<T>::max());
  if constexpr (std::is_signed_v<T>) {
    if (whole.magnitude > kMost + (whole.negative ? 1 : 0)) return bad;
    // Two's complement, so that the least number needs no case of its own.
    uint64_t bits = whole.negative ? 0 - whole.magnitude : whole.magnitude;
    place.set(static_cast<T>(static_cast<int64_t>(bits)));
  } else {
    if (whole.magnitude > kMost || (whole.negative && whole.magnitude != 0)) return bad;
    place.set(static_cast<T>(whole.magnitude));
  }
  return {};
}

bool readFloat(const std::string& text, double& out) {
  if (text == "NaN") {
    out = std::numeric_limits<double>::quiet_NaN();
  } else if (text == "Infinity" || text == "-Infinity") {
    out = text[0] == '-' ? -std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::infinity();
  } else {
    bool negative = false;
    std::string digits;
    int64_t scale = 0;
    if (!decimalDigits(text, negative, digits, scale)) return false;
    out = std::strtod(text.c_str(), nullptr);
    return std::isfinite(out);
  }
  return true;
}

// Only a Float32 has numbers that are too large for it and not for a double.
template <typename T>
Result<void> setFloat(Place& place, const JsonTree& json, const std::string& path) {
  bool right = json.kind == JsonTree::Kind::number || json.kind == JsonTree::Kind::string;
  double value = 0;
  if (!right || !readFloat(json.text, value)) {
    return expected(path, R"(a number, or "NaN", "Infinity" or "-Infinity")", json);
  }
  if (std::isfinite(value) && std::abs(value) > std::numeric_limits<T>::max()) {
    return expected(path, "a number of at most 3.4e38", json);
  }
  place.set(static_cast<T>(value));
  return {};
}

Result<void> setEnum(Place& place, const JsonTree& json, const std::string& path) {
  capnp::EnumSchema schema = place.type().asEnum();
  std::string known;
  for (auto enumerant : schema.getEnumerants()) {
    std::string name = enumerant.getProto().getName().cStr();
    if (json.kind == JsonTree::Kind::string && json.text == name) {
      place.set(capnp::DynamicEnum(enumerant));
      return {};
    }
    known += (known.empty() ? "\"" : ", \"") + name + "\"";
  }
  return expected(path, "one of " + known, json);
}

Result<void> setText(Place& place, const JsonTree& json, const std::string& path) {
  if (json.kind != JsonTree::Kind::string) return expected(path, "a string", json);
  if (!isUtf8(json.text)) return at(path, "expected a string of valid UTF-8, found other bytes");
  place.set(capnp::Text::Reader(json.text.c_str(), json.text.size()));
  return {};
}

Result<void> setData(Place& place, const JsonTree& json, const std::string& path) {
  constexpr const char* kWhat = R"(a string or {"base64":…})";
  std::string bytes;
  if (json.kind == JsonTree::Kind::string) {
    bytes = json.text;
  } else if (json.kind == JsonTree::Kind::object && json.fields.size() == 1 &&
             json.fields[0].first == "base64" &&
             json.fields[0].second.kind == JsonTree::Kind::string) {
    Result<std::string> decoded = fromBase64(json.fields[0].second.text);
    if (!decoded) return at(join(path, "base64"), decoded.fault().text);
    bytes = *decoded;
  } else {
    return expected(path, kWhat, json);
  }
  place.set(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()));
  return {};
}

Result<void> fill(DynamicStruct::Builder out, const JsonTree& object, const std::string& path);
Result<void> setValue(Place place, const JsonTree& json, const std::string& path);

Result<void> setList(Place& place, const JsonTree& json, const std::string& path) {
  if (json.kind != JsonTree::Kind::list) return expected(path, "a list", json);
  DynamicList::Builder list = place.list(static_cast<unsigned>(json.items.size()));
  for (unsigned i = 0; i < json.items.size(); ++i) {
    std::string element = path + "[" + std::to_string(i) + "]";
    if (Result<void> set = setValue(Place(list, i), json.items[i], element); !set) return set;
  }
  return {};
}

Result<void> setValue(Place place, const JsonTree& json, const std::string& path) {
  if (place.group()) return fill(place.structure(), json, path);
  switch (place.type().which()) {
    case Which::VOID:
      if (json.kind != JsonTree::Kind::null) return expected(path, "null", json);
      place.set(capnp::VOID);
      return {};
    case Which::BOOL:
      if (json.kind != JsonTree::Kind::boolean) return expected(path, "true or false", json);
      place.set(json.boolean);
      return {};
    case Which::INT8:
      return setInteger<int8_t>(place, json, path);
    case Which::INT16:
      return setInteger<int16_t>(place, json, path);
    case Which::INT32:
      return setInteger<int32_t>(place, json, path);
    case Which::INT64:
      return setInteger<int64_t>(place, json, path);
    case Which::UINT8:
      return setInteger<uint8_t>(place, json, path);
    case Which::UINT16:
      return setInteger<uint16_t>(place, json, path);
    case Which::UINT32:
      return setInteger<uint32_t>(place, json, path);
    case Which::UINT64:
      return setInteger<uint64_t>(place, json, path);
    case Which::FLOAT32:
      return setFloat<float>(place, json, path);
    case Which::FLOAT64:
      return setFloat<double>(place, json, path);
    case Which::TEXT:
      return setText(place, json, path);
    case Which::DATA:
      return setData(place, json, path);
    case Which::ENUM:
      return setEnum(place, json, path);
    case Which::LIST:
      return setList(place, json, path);
    case Which::STRUCT:
      if (json.kind != JsonTree::Kind::object) return expected(path, "an object", json);
      return fill(place.structure(), json, path);
    case Which::INTERFACE:
    case Which::ANY_POINTER:
      return at(path, "a capability or untyped pointer; JSON cannot say it");
  }
  return at(path, "of a type that this program does not know");
}

// The field of that name, if it may be given now: known, not given before, alone in its union.
Result<capnp::StructSchema::Field> take(capnp::StructSchema schema, const std::string& name,
                                        const std::string& path, std::set<std::string>& given,
                                        std::string& unionMember) {
  KJ_IF_MAYBE (field, schema.findFieldByName(name.c_str())) {
    if (!given.insert(name).second) return at(join(path, name), "given twice");
    if (field->getProto().getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT) {
      if (!unionMember.empty()) {
        return at(join(path, name), "of one union with " + unionMember + "; give one of them");
      }
      unionMember = name;
    }
    return *field;
  }
  std::string known;
  for (auto field : schema.getFields()) {
    known += (known.empty() ? "" : ", ") + std::string(field.getProto().getName().cStr());
  }
  return at(join(path, name),
            "no such field; there " + (known.empty() ? std::string("are none") : "is " + known));
}

Result<void> fill(DynamicStruct::Builder out, const JsonTree& object, const std::string& path) {
  if (object.kind != JsonTree::Kind::object) return expected(path, "an object", object);
  std::set<std::string> given;
  std::string unionMember;
  for (const auto& [name, value] : object.fields) {
    Result<capnp::StructSchema::Field> field =
        take(out.getSchema(), name, path, given, unionMember);
    if (!field) return field.fault();
    if (Result<void> set = setValue(Place(out, *field), value, join(path, name)); !set) return set;
  }
  return {};
}

}  // namespace

Result<void> fillStruct(DynamicStruct::Builder out, const JsonTree& object) {
  return fill(out, object, "");
}

Result<void> fillFields(DynamicStruct::Builder out,
                        const std::vector<std::pair<std::string, std::string>>& fields) {
  std::set<std::string> given;
  std::string unionMember;
  for (const auto& [name, value] : fields) {
    Result<capnp::StructSchema::Field> field = take(out.getSchema(), name, "", given, unionMember);
    if (!field) return field.fault();
    bool plain = !field->getProto().isGroup();
    switch (field->getType().which()) {
      case Which::VOID:
      case Which::BOOL:
      case Which::LIST:
      case Which::STRUCT:
        plain = false;
        break;
      default:
        break;
    }
    JsonTree json = JsonTree::ofString(value);
    if (!plain) {
      Result<JsonTree> parsed = parseJson(value);
      if (!parsed) return at(name, parsed.fault().text);
      json = std::move(*parsed);
    }
    if (Result<void> set = setValue(Place(out, *field), json, name); !set) return set;
  }
  return {};
}

}  // namespace flotilla::admin
