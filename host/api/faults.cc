// The door between Faults, as values, and what they are on the wire.
#include "host/api/faults.h"

#include <string>

namespace flotilla::api {
namespace {

constexpr std::string_view kPrefix = "flotilla/";

// The code of that name; `unknown` where there is none.
ErrorCode codeNamed(std::string_view name) {
  for (auto number = static_cast<uint16_t>(ErrorCode::none);
       number <= static_cast<uint16_t>(ErrorCode::app); ++number) {
    if (nameOf(static_cast<ErrorCode>(number)) == name) return static_cast<ErrorCode>(number);
  }
  return ErrorCode::unknown;
}

// What a host finds on its own disk has no code on the wire.
ErrorCode onTheWire(ErrorCode code) {
  return code == ErrorCode::corrupt || code == ErrorCode::io ? ErrorCode::faulted : code;
}

std::string text(capnp::Text::Reader from) {
  return std::string(from.begin(), from.size());
}

}  // namespace

kj::Exception exceptionOf(const Fault& fault) {
  ErrorCode code = onTheWire(fault.code);
  std::string description = std::string(kPrefix) + std::string(nameOf(code));
  if (code == ErrorCode::app) description += "/" + fault.appCode;
  description += ": " + fault.text;
  auto type = kj::Exception::Type::FAILED;
  if (code == ErrorCode::overloaded) type = kj::Exception::Type::OVERLOADED;
  if (code == ErrorCode::noSuchMethod) type = kj::Exception::Type::UNIMPLEMENTED;
  return kj::Exception(type, __FILE__, __LINE__, kj::heapString(description.c_str()));
}

Fault faultOf(const kj::Exception& exception) {
  std::string_view description(exception.getDescription().begin(),
                               exception.getDescription().size());
  size_t at = description.find(kPrefix);
  size_t colon = at == std::string_view::npos ? at : description.find(": ", at);
  if (colon == std::string_view::npos) {
    bool gone = exception.getType() == kj::Exception::Type::DISCONNECTED;
    return Fault{gone ? ErrorCode::unavailable : ErrorCode::unknown, std::string(description), ""};
  }
  std::string_view words = description.substr(at + kPrefix.size(), colon - at - kPrefix.size());
  size_t slash = words.find('/');
  Fault fault{codeNamed(words.substr(0, slash)), std::string(description.substr(colon + 2)), ""};
  if (slash != std::string_view::npos) fault.appCode = words.substr(slash + 1);
  return fault;
}

Fault faultOf(const group::Outcome& outcome) {
  return Fault{outcome.code, std::string(outcome.body.view()), outcome.appCode.value_or({})};
}

Fault faultOfCatalog(const group::Outcome& outcome) {
  Fault fault = faultOf(outcome);
  if (fault.code != ErrorCode::app) return fault;
  ErrorCode code = codeNamed(fault.appCode);
  if (code == ErrorCode::unknown) return fault;
  return Fault{code, fault.text, ""};
}

void write(const Fault& fault, schema::Fault::Builder to) {
  to.setCode(static_cast<schema::ErrorCode>(onTheWire(fault.code)));
  to.setAppCode(fault.appCode);
  to.setText(fault.text);
}

Fault read(schema::Fault::Reader from) {
  auto number = static_cast<uint16_t>(from.getCode());
  bool known = number <= static_cast<uint16_t>(ErrorCode::app);
  return Fault{known ? static_cast<ErrorCode>(number) : ErrorCode::unknown, text(from.getText()),
               text(from.getAppCode())};
}

}  // namespace flotilla::api
