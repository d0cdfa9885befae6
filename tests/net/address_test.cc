// Addresses as people write them.
#include "host/net/address.h"

#include <string>

#include <doctest/doctest.h>

namespace flotilla {

using net::isLoopback;
using net::parseAddress;

TEST_CASE("net/address: host and port are taken apart and put together again") {
  for (const char* text : {"127.0.0.1:7400", "db-1.example.org:1", "[::1]:7400", "localhost:0"}) {
    auto address = parseAddress(text);
    REQUIRE(address);
    CHECK(address->text() == text);
  }
  CHECK(parseAddress("[::1]:7400")->host == "::1");
  CHECK(parseAddress("a:65535")->port == 65535);
}

TEST_CASE("net/address: what is no address is quoted with what it lacks") {
  auto why = [](const char* text) { return parseAddress(text).fault().text; };
  CHECK(why("10.0.0.7") == "\"10.0.0.7\": no port; write it as host:port");
  CHECK(why("10.0.0.7:") == "\"10.0.0.7:\": no port; write it as host:port");
  CHECK(why("[::1]") == "\"[::1]\": no port; write it as host:port");
  CHECK(why(":7400") == "\":7400\": no host; write it as host:port");
  CHECK(why("") == "\"\": no port; write it as host:port");
  CHECK(why("a:b") == "\"a:b\": the port is not a number from 0 to 65535; write it as host:port");
  CHECK(why("a:65536") ==
        "\"a:65536\": the port is not a number from 0 to 65535; write it as host:port");
  CHECK(why("::1:7400") ==
        "\"::1:7400\": an IPv6 address needs brackets, as [::1]; write it as host:port");
  CHECK(why("a b:1") == "\"a b:1\": not a host name or address; write it as host:port");
}

TEST_CASE("net/address: loopback is what only this machine reaches") {
  for (const char* text : {"127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1"}) {
    CHECK(isLoopback(*parseAddress(text)));
  }
  for (const char* text : {"0.0.0.0:1", "10.0.0.7:1", "127.evil.org:1", "[::]:1", "host:1"}) {
    CHECK_FALSE(isLoopback(*parseAddress(text)));
  }
}

}  // namespace flotilla
