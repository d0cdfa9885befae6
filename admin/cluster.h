// The cluster at the other end of a command.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <kj/async-io.h>

#include "admin/command.h"
#include "sdk/client/client.h"
#include "sdk/client/fault_text.h"

namespace flotilla::admin {

// A command's connection to the cluster, with a loop of its own.
//
// Owner:  the command, on its stack.
// Thread: main's.
// Errors: `wait` throws what the promise was rejected with; `run` turns that into words and an
// exit.
class Cluster {
public:
  Cluster(kj::AsyncIoContext& io, client::ClientOptions options)
      : io_(io), client_(io, std::move(options)) {}

  // Waits until a host has let us in. Rejected when none answers.
  void reach() {
    client_.reach().wait(io_.waitScope);
    reached_ = true;
  }
  bool reached() const { return reached_; }

  client::Client& client() { return client_; }
  client::Admin admin() { return client_.admin(); }
  kj::AsyncIoContext& io() { return io_; }

  template <typename T>
  T wait(kj::Promise<T>&& promise) {
    return promise.wait(io_.waitScope);
  }

private:
  kj::AsyncIoContext& io_;
  client::Client client_;
  bool reached_ = false;
};

// Where hosts are, and the secret, by options, environment and playground (see playground_place.h).
struct Access {
  std::vector<std::string> addresses;
  std::string token;
};
Result<Access> accessOf(const Options& options);

// How a command wants its connection.
struct Wish {
  std::string command;     // as it was typed, for what it says
  uint64_t timeoutMs = 0;  // where the options set none
  bool session = false;    // worth a replicated command and a place among the group's sessions
};

// Connects and runs `body`; tells on stderr what goes wrong.
Exit withCluster(const Options& options, const Wish& wish,
                 const std::function<Exit(Cluster&)>& body);

constexpr uint64_t kAskMs = 10'000;     // what only looks, and calls
constexpr uint64_t kChangeMs = 60'000;  // what is answered when it is done

}  // namespace flotilla::admin
