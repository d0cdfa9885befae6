// Where a host listens: "host:port".
#include "host/net/address.h"

#include <charconv>
#include <optional>
#include <system_error>

namespace flotilla::net {
namespace {

constexpr std::string_view kForm = "; write it as host:port";

Fault badAddress(std::string_view text, std::string_view found) {
  std::string line = "\"" + std::string(text.substr(0, 300)) + "\": " + std::string(found);
  return Fault{ErrorCode::badRequest, line + std::string(kForm), ""};
}

std::optional<uint16_t> portOf(std::string_view digits) {
  uint16_t port = 0;
  auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
  return port;
}

bool isHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool isHostName(std::string_view host) {
  if (host.size() > 253) return false;
  for (char c : host) {
    if (!isHostCharacter(c)) return false;
  }
  return !host.empty();
}

bool isBracketed(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  return host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:.") ==
         std::string_view::npos;
}

}  // namespace

std::string Address::text() const {
  bool colons = host.find(':') != std::string::npos;
  return (colons ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parseAddress(std::string_view text) {
  size_t colon = text.rfind(':');
  bool inBrackets = !text.empty() && text.back() == ']';
  if (colon == std::string_view::npos || inBrackets) return badAddress(text, "no port");
  std::string_view host = text.substr(0, colon);
  std::optional<uint16_t> port = portOf(text.substr(colon + 1));
  if (host.empty()) return badAddress(text, "no host");
  if (text.substr(colon + 1).empty()) return badAddress(text, "no port");
  if (!port) return badAddress(text, "the port is not a number from 0 to 65535");
  if (isBracketed(host)) return Address{std::string(host.substr(1, host.size() - 2)), *port};
  if (host.find(':') != std::string_view::npos) {
    return badAddress(text, "an IPv6 address needs brackets, as [::1]");
  }
  if (!isHostName(host)) return badAddress(text, "not a host name or address");
  return Address{std::string(host), *port};
}

bool isLoopback(const Address& address) {
  if (address.host == "localhost" || address.host == "::1") return true;
  // A name may begin with "127." too, so all four numbers must be numbers.
  return address.host.starts_with("127.") &&
         address.host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace flotilla::net
