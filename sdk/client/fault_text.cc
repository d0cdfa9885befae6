// Faults as the text of a failed call: `flotilla/<code>[/<author's code>]: <text>`.
#include "sdk/client/fault_text.h"

namespace flotilla::client {
namespace {

constexpr std::string_view kMark = "flotilla/";

kj::Exception::Type typeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::overloaded:
      return kj::Exception::Type::OVERLOADED;
    case ErrorCode::noSuchMethod:
      return kj::Exception::Type::UNIMPLEMENTED;
    default:
      return kj::Exception::Type::FAILED;
  }
}

ErrorCode codeOf(kj::Exception::Type type) {
  switch (type) {
    case kj::Exception::Type::OVERLOADED:
      return ErrorCode::overloaded;
    case kj::Exception::Type::UNIMPLEMENTED:
      return ErrorCode::noSuchMethod;
    default:
      return ErrorCode::unknown;
  }
}

}  // namespace

ErrorCode codeNamed(std::string_view name) {
  for (auto code = static_cast<uint16_t>(ErrorCode::none);
       code <= static_cast<uint16_t>(ErrorCode::app); ++code) {
    if (nameOf(static_cast<ErrorCode>(code)) == name) return static_cast<ErrorCode>(code);
  }
  return ErrorCode::unknown;
}

std::string faultText(const Fault& fault) {
  std::string text(kMark);
  text += nameOf(fault.code);
  if (fault.code == ErrorCode::app) text += "/" + fault.appCode;
  return text + ": " + fault.text;
}

Fault parseFault(std::string_view text) {
  size_t mark = text.find(kMark);
  size_t colon = mark == std::string_view::npos ? mark : text.find(": ", mark);
  if (colon == std::string_view::npos) return {ErrorCode::unknown, std::string(text), ""};
  std::string_view code = text.substr(mark + kMark.size(), colon - mark - kMark.size());
  std::string_view appCode;
  if (size_t slash = code.find('/'); slash != std::string_view::npos) {
    appCode = code.substr(slash + 1);
    code = code.substr(0, slash);
  }
  if (code.empty() || code.find_first_of(" :\n") != std::string_view::npos) {
    return {ErrorCode::unknown, std::string(text), ""};
  }
  return {codeNamed(code), std::string(text.substr(colon + 2)), std::string(appCode)};
}

bool carriesFault(const kj::Exception& exception) {
  std::string_view text(exception.getDescription().cStr());
  return parseFault(text).text.size() != text.size();
}

Fault faultOf(const kj::Exception& exception) {
  Fault fault = parseFault(exception.getDescription().cStr());
  if (!carriesFault(exception)) fault.code = codeOf(exception.getType());
  return fault;
}

kj::Exception exceptionOf(const Fault& fault) {
  return kj::Exception(typeOf(fault.code), __FILE__, __LINE__,
                       kj::heapString(faultText(fault).c_str()));
}

Fault faultOf(schema::Fault::Reader fault) {
  return {static_cast<ErrorCode>(fault.getCode()), std::string(fault.getText().cStr()),
          std::string(fault.getAppCode().cStr())};
}

}  // namespace flotilla::client
