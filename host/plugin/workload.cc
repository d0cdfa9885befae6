// Makes calls up.
#include "host/plugin/workload.h"

#include <algorithm>
#include <limits>

#include <capnp/message.h>
#include <capnp/schema.capnp.h>
#include <capnp/serialize.h>
#include <kj/string.h>

#include "flotilla/stored.h"
#include "host/base/assert.h"
#include "host/plugin/descriptor.h"

namespace flotilla::plugin {
namespace {

constexpr unsigned kDepthMax = 4;
constexpr unsigned kListMax = 4;
constexpr unsigned kDataBytesMax = 40;
constexpr size_t kTextMax = 300;

// Names that calls have in common.
std::string wordFrom(base::Prng& prng) {
  static const char* const kWords[] = {"a",     "b",         "c",   "key",       "apples", "pears",
                                       "ships", "K\u00f6ln", "a b", "a\"quoted", "0",      "z"};
  constexpr uint64_t kOdd = 12;
  uint64_t which = prng.below(std::size(kWords) + 3);
  if (which < std::size(kWords)) return kWords[which];
  if (which == std::size(kWords)) return "";
  if (which == std::size(kWords) + 1) return "word" + std::to_string(prng.below(200));
  return std::string(prng.below(kOdd) * kOdd, 'x');
}

// A number of a type, as the bits that a dynamic value takes.
template <typename T>
T numberFrom(base::Prng& prng) {
  uint64_t kind = prng.below(10);
  if (kind < 6) return static_cast<T>(prng.below(8));
  if (kind < 8) return static_cast<T>(prng.below(100));
  if (kind == 8) return static_cast<T>(prng.next());
  static const T kEdges[] = {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(),
                             static_cast<T>(0), static_cast<T>(-1)};
  return kEdges[prng.below(std::size(kEdges))];
}

double fractionFrom(base::Prng& prng) {
  return (static_cast<double>(prng.below(2001)) - 1000) / 8;
}

// A value of a type without pointers, for a field or for a list's element.
capnp::DynamicValue::Reader plainFrom(capnp::Type type, base::Prng& prng) {
  switch (type.which()) {
    case capnp::schema::Type::VOID:
      return capnp::VOID;
    case capnp::schema::Type::BOOL:
      return prng.chance(500);
    case capnp::schema::Type::INT8:
      return numberFrom<int8_t>(prng);
    case capnp::schema::Type::INT16:
      return numberFrom<int16_t>(prng);
    case capnp::schema::Type::INT32:
      return numberFrom<int32_t>(prng);
    case capnp::schema::Type::INT64:
      return numberFrom<int64_t>(prng);
    case capnp::schema::Type::UINT8:
      return numberFrom<uint8_t>(prng);
    case capnp::schema::Type::UINT16:
      return numberFrom<uint16_t>(prng);
    case capnp::schema::Type::UINT32:
      return numberFrom<uint32_t>(prng);
    case capnp::schema::Type::UINT64:
      return numberFrom<uint64_t>(prng);
    case capnp::schema::Type::FLOAT32:
    case capnp::schema::Type::FLOAT64:
      return fractionFrom(prng);
    case capnp::schema::Type::ENUM: {
      auto enumerants = type.asEnum().getEnumerants();
      if (enumerants.size() == 0) return capnp::DynamicEnum(type.asEnum(), 0);
      return capnp::DynamicEnum(enumerants[static_cast<unsigned>(prng.below(enumerants.size()))]);
    }
    default:
      return nullptr;  // a pointer, or a type of a later Cap'n Proto
  }
}

std::string cut(std::string text) {
  if (text.size() > kTextMax) text = text.substr(0, kTextMax) + "…";
  return text;
}

kj::ArrayPtr<const capnp::word> wordsOf(std::string_view bytes) {
  return kj::arrayPtr(reinterpret_cast<const capnp::word*>(bytes.data()),
                      bytes.size() / sizeof(capnp::word));
}

}  // namespace

Workload::Workload(const flotilla_descriptor& descriptor, uint64_t seed) : seed_(seed) {
  Bytes schema =
      Bytes::copyOf({static_cast<const char*>(descriptor.schema.start), descriptor.schema.size});
  capnp::FlatArrayMessageReader message(wordsOf(schema.view()));
  for (auto node : message.getRoot<capnp::schema::CodeGeneratorRequest>().getNodes()) {
    loader_.load(node);
  }
  for (const flotilla_method& row : methodRows(descriptor)) {
    auto methods = loader_.get(row.interfaceId).asInterface().getMethods();
    Method method{row, methods[row.method]};
    (row.kind == FLOTILLA_QUERY ? queries_ : commands_).push_back(method);
  }
}

WorkloadCall Workload::call(uint64_t number) {
  base::Prng prng(mixed(seed_, number));
  bool query = commands_.empty() || (!queries_.empty() && prng.chance(250));
  const auto& from = query ? queries_ : commands_;
  const Method& method = from[prng.below(from.size())];
  capnp::MallocMessageBuilder message;
  auto params = message.initRoot<capnp::DynamicStruct>(method.schema.getParamType());
  fill(params, prng, 0);
  capnp::MallocMessageBuilder flat(static_cast<unsigned>(message.sizeInWords() + 1));
  flat.setRoot(params.asReader());
  auto bytes = flat.getSegmentsForOutput()[0].asBytes();
  WorkloadCall call;
  call.query = query;
  call.interfaceId = method.row.interfaceId;
  call.method = static_cast<uint16_t>(method.row.method);
  call.params = Bytes::copyOf({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
  call.text = cut(std::string(method.row.name) + kj::str(params.asReader()).cStr());
  return call;
}

std::string Workload::answerText(const WorkloadCall& call, std::string_view segment) {
  Bytes aligned = Bytes::copyOf(segment);
  kj::ArrayPtr<const capnp::word> words = wordsOf(aligned.view());
  try {
    capnp::SegmentArrayMessageReader message(kj::arrayPtr(&words, 1));
    auto results = message.getRoot<capnp::DynamicStruct>(methodOf(call).schema.getResultType());
    return cut(kj::str(results).cStr());
  } catch (const kj::Exception& exception) {
    return std::string("a result that cannot be read: ") + exception.getDescription().cStr();
  }
}

const Workload::Method& Workload::methodOf(const WorkloadCall& call) const {
  const auto& among = call.query ? queries_ : commands_;
  auto it = std::find_if(among.begin(), among.end(), [&](const Method& one) {
    return one.row.interfaceId == call.interfaceId && one.row.method == call.method;
  });
  ASSERT(it != among.end());
  return *it;
}

void Workload::fill(capnp::DynamicStruct::Builder to, base::Prng& prng, unsigned depth) {
  capnp::StructSchema schema = to.getSchema();
  for (auto field : schema.getNonUnionFields()) fillField(to, field, prng, depth);
  auto choices = schema.getUnionFields();
  if (choices.size() == 0) return;
  fillField(to, choices[static_cast<unsigned>(prng.below(choices.size()))], prng, depth);
}

void Workload::fillField(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field,
                         base::Prng& prng, unsigned depth) {
  if (field.getProto().isGroup()) {
    fill(to.init(field).as<capnp::DynamicStruct>(), prng, depth);
    return;
  }
  capnp::Type type = field.getType();
  bool pointer = type.isText() || type.isData() || type.isList() || type.isStruct();
  if (!pointer) {
    auto value = plainFrom(type, prng);
    if (value.getType() != capnp::DynamicValue::UNKNOWN) to.set(field, value);
    return;
  }
  if (depth >= kDepthMax || prng.chance(50)) return;  // left unset
  if (type.isText()) {
    to.set(field, capnp::Text::Reader(wordFrom(prng).c_str()));
  } else if (type.isData()) {
    std::string bytes = prng.chance(500) ? wordFrom(prng) : std::string();
    for (uint64_t left = bytes.empty() ? prng.below(kDataBytesMax) : 0; left > 0; --left) {
      bytes += static_cast<char>(prng.next());
    }
    to.set(field,
           capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()));
  } else if (type.isList()) {
    fillList(to.init(field, static_cast<unsigned>(prng.below(kListMax))).as<capnp::DynamicList>(),
             prng, depth + 1);
  } else {
    fill(to.init(field).as<capnp::DynamicStruct>(), prng, depth + 1);
  }
}

void Workload::fillList(capnp::DynamicList::Builder to, base::Prng& prng, unsigned depth) {
  capnp::Type type = to.getSchema().getElementType();
  for (unsigned i = 0; i < to.size(); ++i) {
    if (type.isStruct()) {
      fill(to[i].as<capnp::DynamicStruct>(), prng, depth);
    } else if (type.isText()) {
      to.set(i, capnp::Text::Reader(wordFrom(prng).c_str()));
    } else if (type.isData()) {
      std::string bytes = wordFrom(prng);
      to.set(i, capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()));
    } else if (type.isList()) {
      if (depth < kDepthMax) {
        auto inner = to.init(i, static_cast<unsigned>(prng.below(kListMax)));
        fillList(inner.as<capnp::DynamicList>(), prng, depth + 1);
      }
    } else {
      auto value = plainFrom(type, prng);
      if (value.getType() != capnp::DynamicValue::UNKNOWN) to.set(i, value);
    }
  }
}

}  // namespace flotilla::plugin
