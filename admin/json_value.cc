// Values from Cap'n Proto to JSON, and base64.
#include "admin/json_value.h"

#include <array>
#include <cmath>

namespace flotilla::admin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

Json dataJson(std::string_view bytes, DataForm form) {
  if (form == DataForm::text && isUtf8(bytes)) return std::string(bytes);
  Json out;
  out["base64"] = toBase64(bytes);
  return out;
}

Json floatJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return value;
}

Json valueJson(const capnp::DynamicValue::Reader& value, DataForm form);

Json listJson(capnp::DynamicList::Reader list, DataForm form) {
  Json out = Json::array();
  for (auto item : list) out.push_back(valueJson(item, form));
  return out;
}

Json enumJson(capnp::DynamicEnum value) {
  KJ_IF_MAYBE (enumerant, value.getEnumerant()) {
    return std::string(enumerant->getProto().getName().cStr());
  }
  return value.getRaw();  // of a newer schema
}

Json valueJson(const capnp::DynamicValue::Reader& value, DataForm form) {
  switch (value.getType()) {
    case capnp::DynamicValue::BOOL:
      return value.as<bool>();
    case capnp::DynamicValue::INT:
      return value.as<int64_t>();
    case capnp::DynamicValue::UINT:
      return value.as<uint64_t>();
    case capnp::DynamicValue::FLOAT:
      return floatJson(value.as<double>());
    case capnp::DynamicValue::TEXT: {
      auto text = value.as<capnp::Text>();
      return std::string(text.begin(), text.size());
    }
    case capnp::DynamicValue::DATA: {
      auto chars = value.as<capnp::Data>().asChars();
      return dataJson({chars.begin(), chars.size()}, form);
    }
    case capnp::DynamicValue::LIST:
      return listJson(value.as<capnp::DynamicList>(), form);
    case capnp::DynamicValue::ENUM:
      return enumJson(value.as<capnp::DynamicEnum>());
    case capnp::DynamicValue::STRUCT:
      return toJson(value.as<capnp::DynamicStruct>(), form);
    case capnp::DynamicValue::UNKNOWN:
    case capnp::DynamicValue::VOID:
    case capnp::DynamicValue::CAPABILITY:
    case capnp::DynamicValue::ANY_POINTER:
      return nullptr;
  }
  return nullptr;
}

bool shown(capnp::DynamicStruct::Reader value, capnp::StructSchema::Field field) {
  bool structure =
      !field.getProto().isGroup() && field.getType().which() == capnp::schema::Type::STRUCT;
  return !structure || value.has(field);
}

}  // namespace

Json toJson(capnp::DynamicStruct::Reader value, DataForm form) {
  Json out = Json::object();
  kj::Maybe<capnp::StructSchema::Field> which = value.which();
  for (capnp::StructSchema::Field field : value.getSchema().getFields()) {
    if (field.getProto().getDiscriminantValue() != capnp::schema::Field::NO_DISCRIMINANT) {
      KJ_IF_MAYBE (active, which) {
        if (active->getIndex() != field.getIndex()) continue;
      } else {
        continue;
      }
    }
    if (!shown(value, field)) continue;
    out[field.getProto().getName().cStr()] = valueJson(value.get(field), form);
  }
  return out;
}

std::string toBase64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - at);
    unsigned block = 0;
    for (size_t i = 0; i < 3; ++i) {
      block = block << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += i <= count ? kBase64[block >> (18 - 6 * i) & 63] : '=';
    }
  }
  return out;
}

Result<std::string> fromBase64(std::string_view text) {
  Fault bad{
      ErrorCode::badRequest,
      "expected base64 with padding, found " + describe(JsonTree::ofString(std::string(text))), ""};
  if (text.size() % 4 != 0) return bad;
  std::string out;
  for (size_t at = 0; at < text.size(); at += 4) {
    bool last = at + 4 == text.size();
    size_t padding = 0;
    unsigned block = 0;
    for (size_t i = 0; i < 4; ++i) {
      char c = text[at + i];
      size_t value = kBase64.find(c);
      if (c == '=' && last && i >= 2) {
        ++padding;
        value = 0;
      } else if (value == std::string_view::npos || padding != 0) {
        return bad;
      }
      block = block << 6 | static_cast<unsigned>(value);
    }
    // Bits beyond the last byte must be none, so that each value has one spelling.
    if ((padding == 1 && (block & 0xff) != 0) || (padding == 2 && (block & 0xffff) != 0))
      return bad;
    for (size_t i = 0; i < 3 - padding; ++i) {
      out += static_cast<char>(block >> (16 - 8 * i) & 0xff);
    }
  }
  return out;
}

}  // namespace flotilla::admin
