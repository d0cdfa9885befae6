// Faults as Cap'n Proto exceptions between hosts: "flotilla/<code>: <text>".
#include "host/net/refusal.h"

#include <array>
#include <string_view>
#include <utility>

#include <kj/debug.h>

namespace flotilla::net {
namespace {

constexpr std::string_view kPrefix = "flotilla/";

kj::Exception::Type typeOf(ErrorCode code) {
  if (code == ErrorCode::overloaded) return kj::Exception::Type::OVERLOADED;
  if (code == ErrorCode::noSuchMethod) return kj::Exception::Type::UNIMPLEMENTED;
  return kj::Exception::Type::FAILED;
}

ErrorCode codeNamed(std::string_view name) {
  for (uint16_t number = 0; number <= static_cast<uint16_t>(ErrorCode::app); ++number) {
    if (nameOf(static_cast<ErrorCode>(number)) == name) return static_cast<ErrorCode>(number);
  }
  return ErrorCode::unknown;
}

// What the kernel and Cap'n Proto say of an ended connection, in our words.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kReasons{{
    {"Connection refused", "connection refused"},
    {"Connection reset", "connection reset"},
    {"Broken pipe", "connection reset"},
    {"Peer disconnected", "connection closed"},
    {"disconnected", "connection closed"},
    {"abortRead() has been called", "connection closed"},
    {"No route to host", "no route to host"},
    {"Network is unreachable", "network unreachable"},
    {"timed out", "no answer in time"},
}};

}  // namespace

kj::Exception refusal(ErrorCode code, const std::string& text) {
  std::string line = std::string(kPrefix) + std::string(nameOf(code)) + ": " + text;
  return kj::Exception(typeOf(code), __FILE__, __LINE__, kj::str(line.c_str()));
}

kj::Exception gone(const std::string& reason) {
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::str(reason.c_str()));
}

Fault faultOf(const kj::Exception& exception) {
  kj::StringPtr description = exception.getDescription();
  std::string_view text(description.begin(), description.size());
  // Over the wire Cap'n Proto puts "remote exception: " before it.
  size_t at = text.find(kPrefix);
  if (at != std::string_view::npos) {
    std::string_view rest = text.substr(at + kPrefix.size());
    size_t colon = rest.find(": ");
    std::string_view names = rest.substr(0, colon);
    std::string_view code = names.substr(0, names.find('/'));
    Fault fault{codeNamed(code), "", ""};
    if (code.size() < names.size()) fault.appCode = names.substr(code.size() + 1);
    if (colon != std::string_view::npos) fault.text = rest.substr(colon + 2);
    return fault;
  }
  bool dead = exception.getType() == kj::Exception::Type::DISCONNECTED;
  for (const auto& [found, said] : kReasons) {
    if (dead && text.find(found) != std::string_view::npos) {
      return Fault{ErrorCode::unavailable, std::string(said), ""};
    }
  }
  return Fault{dead ? ErrorCode::unavailable : ErrorCode::unknown, std::string(text), ""};
}

}  // namespace flotilla::net
