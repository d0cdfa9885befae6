// Measures what status calls cost writers: puts a second with and without them, in alternating
// phases.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <capnp/message.h>
#include <kj/async-io.h>

#include "kv.capnp.h"
#include "sdk/client/client.h"

namespace {

using flotilla::client::Client;
using flotilla::client::ClientOptions;
using flotilla::client::GroupClient;
using flotilla::client::Outcome;

constexpr unsigned kInFlight = 512;
constexpr unsigned kKeys = 10'000;
constexpr unsigned kPhases = 5;  // of each kind
constexpr kj::Duration kPhase = 1 * kj::SECONDS;
constexpr kj::Duration kBetweenCalls = 1 * kj::MILLISECONDS;  // 1,000 status calls a second

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

[[noreturn]] void end(const char* words) {
  std::fprintf(stderr, "status-cost: %s\n", words);
  std::_Exit(1);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none
struct Failed final : kj::TaskSet::ErrorHandler {
  void taskFailed(kj::Exception&& error) override { end(error.getDescription().cStr()); }
};
#pragma GCC diagnostic pop

// Asks for a group's status while told to, from a thread and connections of its own: whoever
// watches a cluster is not the application that writes to it.
//
// Owner:  main.
// Thread: ask() and asked() any.
// Errors: a call that fails ends the program with its words.
class Watcher {
public:
  Watcher(ClientOptions options, std::string group)
      : thread_([this, options = std::move(options), group = std::move(group)] {
          run(options, group);
        }) {}

  void ask(bool whether) { asking_ = whether; }
  uint64_t asked() const { return asked_; }

private:
  void run(const ClientOptions& options, const std::string& group) {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    Client client(io, options);
    flotilla::client::Admin admin = client.admin();
    Failed failed;
    kj::TaskSet tasks(failed);
    kj::Timer& timer = io.provider->getTimer();
    while (true) {
      kj::TimePoint since = timer.now();
      // By the clock, not by turns of the loop: a busy loop is late, and asks for what it missed.
      for (int64_t wanted = 0; asking_;) {
        for (; wanted < (timer.now() - since) / kBetweenCalls; ++wanted) {
          tasks.add(admin.showGroup(group).then([this](auto&&) { ++asked_; }));
        }
        timer.afterDelay(kBetweenCalls).wait(io.waitScope);
      }
      timer.afterDelay(10 * kBetweenCalls).wait(io.waitScope);
    }
  }

  std::atomic<bool> asking_{false};
  std::atomic<uint64_t> asked_{0};
  std::thread thread_;  // ends with the program
};

// Keeps a fixed number of puts under way.
//
// Owner:  main.
// Thread: the loop's.
// Errors: a put that fails ends the program with its words.
class Load {
public:
  Load(Client& client, kj::Timer& timer, const std::string& group, Watcher& watcher)
      : group_(client.group(group)), timer_(timer), watcher_(watcher) {
    put_ = {capnp::typeId<Kv>(), 0};
    for (unsigned i = 0; i < kInFlight; ++i) put();
  }

  // Puts and status calls answered in one phase.
  kj::Promise<void> phase(bool withStatus) {
    watcher_.ask(withStatus);
    uint64_t putsBefore = puts_;
    uint64_t asksBefore = watcher_.asked();
    kj::TimePoint began = timer_.now();
    return timer_.afterDelay(kPhase).then([this, putsBefore, asksBefore, began, withStatus]() {
      double seconds = static_cast<double>((timer_.now() - began) / kj::MICROSECONDS) / 1e6;
      double puts = static_cast<double>(puts_ - putsBefore) / seconds;
      if (withStatus) {
        with_.push_back(puts);
        asked_.push_back(static_cast<double>(watcher_.asked() - asksBefore) / seconds);
      } else {
        without_.push_back(puts);
      }
    });
  }

  void print() {
    std::printf("{\"putsAlone\": %.0f, \"putsWithStatus\": %.0f, \"statusCalls\": %.0f}\n",
                median(without_), median(with_), median(asked_));
  }

private:
  void put() {
    capnp::MallocMessageBuilder message;
    auto params = message.initRoot<Kv::PutParams>();
    params.setKey(kj::str("key-", next_++ % kKeys));
    params.setValue(kj::StringPtr("sixteen bytes ok").asBytes());
    group_->call(put_, message.getSegmentsForOutput()[0], [this](Outcome&& outcome) {
      if (outcome.fault) end(outcome.fault->text.c_str());
      ++puts_;
      put();
    });
  }

  kj::Own<GroupClient> group_;
  kj::Timer& timer_;
  Watcher& watcher_;
  flotilla::client::MethodId put_;
  uint64_t next_ = 0;
  uint64_t puts_ = 0;
  std::vector<double> with_, without_, asked_;
};

}  // namespace

int main(int count, char** words) {
  if (count < 4) {
    std::fprintf(stderr, "usage: status-cost TOKEN_FILE GROUP ADDRESS…\n");
    return 2;
  }
  ClientOptions options;
  std::ifstream token(words[1]);
  std::getline(token, options.token);
  options.addresses.assign(words + 3, words + count);
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Client client(io, options);
  Watcher watcher(options, words[2]);
  Load load(client, io.provider->getTimer(), words[2], watcher);
  load.phase(false).wait(io.waitScope);  // warm
  for (unsigned i = 0; i < kPhases; ++i) {
    load.phase(false).wait(io.waitScope);
    load.phase(true).wait(io.waitScope);
  }
  load.print();
  std::fflush(stdout);
  std::_Exit(0);  // calls are under way: nothing to hand back in order
}
