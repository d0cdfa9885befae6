// Where a host listens: "host:port".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flotilla/result.h"

namespace flotilla::net {

// A host name, an IPv4 address, or an IPv6 address (written in brackets), and a port.
struct Address {
  std::string host;
  uint16_t port = 0;  // 0 asks a listener for any free port

  std::string text() const;  // as parseAddress takes it
  bool operator==(const Address&) const = default;
};

// The fault's text is made to follow a "config host.toml: key " or "listen ": it begins with what
// was found, `"10.0.0.7": no port; write it as host:port`.
Result<Address> parseAddress(std::string_view text);

// True for localhost, 127.0.0.0/8 and ::1: nobody but this machine reaches a listener there.
bool isLoopback(const Address& address);

}  // namespace flotilla::net
