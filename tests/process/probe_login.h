// How a probe logs in: with a token from a file, as any Cap'n Proto client may.
#pragma once

#include <fstream>
#include <string>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "schemas/client.capnp.h"

namespace flotilla::test {

// Owner: main. Thread: one. Errors: kj's exceptions.
struct ProbeLogin {
  ProbeLogin(const char* address, const char* tokenFile)
      : io(kj::setupAsyncIo()),
        stream(connected(io, address)),
        rpc(*stream),
        host(loggedIn(io, rpc, tokenFile)) {}

  static kj::Own<kj::AsyncIoStream> connected(kj::AsyncIoContext& io, const char* address) {
    auto found = io.provider->getNetwork().parseAddress(address).wait(io.waitScope);
    return found->connect().wait(io.waitScope);
  }
  static schema::Host::Client loggedIn(kj::AsyncIoContext& io, capnp::TwoPartyClient& rpc,
                                       const char* tokenFile) {
    std::string token;
    std::getline(std::ifstream(tokenFile), token);
    auto login = rpc.bootstrap().castAs<schema::Gate>().loginRequest();
    login.setToken(token.c_str());
    return login.send().wait(io.waitScope).getSession().getHost();
  }

  kj::AsyncIoContext io;
  kj::Own<kj::AsyncIoStream> stream;
  capnp::TwoPartyClient rpc;
  schema::Host::Client host;
};

}  // namespace flotilla::test
