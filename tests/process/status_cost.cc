// Measures what status calls cost writers: puts a second with and without them, in alternating
// phases.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
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

// Keeps a fixed number of puts under way, and, while told to, asks for the group's status.
//
// Owner:  main.
// Thread: the loop's.
// Errors: a put or a status call that fails ends the program with its words.
class Load {
public:
  Load(Client& client, kj::Timer& timer, const std::string& group)
      : admin_(client.admin()),
        group_(client.group(group)),
        name_(group),
        timer_(timer),
        tasks_(failed_) {
    put_ = {capnp::typeId<Kv>(), 0};
    for (unsigned i = 0; i < kInFlight; ++i) put();
    tasks_.add(askForEver());
  }

  // Puts and status calls answered in one phase.
  kj::Promise<void> phase(bool withStatus) {
    asking_ = withStatus;
    askedSince_ = timer_.now();
    askedFor_ = 0;
    uint64_t putsBefore = puts_;
    uint64_t asksBefore = asks_;
    kj::TimePoint began = timer_.now();
    return timer_.afterDelay(kPhase).then([this, putsBefore, asksBefore, began, withStatus]() {
      double seconds = static_cast<double>((timer_.now() - began) / kj::MICROSECONDS) / 1e6;
      double puts = static_cast<double>(puts_ - putsBefore) / seconds;
      if (withStatus) {
        with_.push_back(puts);
        asked_.push_back(static_cast<double>(asks_ - asksBefore) / seconds);
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
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none
  struct Failed final : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&& error) override { end(error.getDescription().cStr()); }
  };
#pragma GCC diagnostic pop

  [[noreturn]] static void end(const char* words) {
    std::fprintf(stderr, "status-cost: %s\n", words);
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }

  static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }

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

  kj::Promise<void> askForEver() {
    return timer_.afterDelay(kBetweenCalls).then([this]() {
      // By the clock, not by turns of the loop: a busy loop is late, and asks for what it missed.
      for (; asking_ && askedFor_ < (timer_.now() - askedSince_) / kBetweenCalls; ++askedFor_) {
        tasks_.add(admin_.showGroup(name_).then([this](auto&&) { ++asks_; }));
      }
      return askForEver();
    });
  }

  flotilla::client::Admin admin_;
  kj::Own<GroupClient> group_;
  std::string name_;
  kj::Timer& timer_;
  flotilla::client::MethodId put_;
  uint64_t next_ = 0;
  uint64_t puts_ = 0;
  uint64_t asks_ = 0;
  bool asking_ = false;
  kj::TimePoint askedSince_ = kj::origin<kj::TimePoint>();
  int64_t askedFor_ = 0;  // since then
  std::vector<double> with_, without_, asked_;
  Failed failed_;
  kj::TaskSet tasks_;  // last, so that it is gone before what its tasks use
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
  Load load(client, io.provider->getTimer(), words[2]);
  load.phase(false).wait(io.waitScope);  // warm
  for (unsigned i = 0; i < kPhases; ++i) {
    load.phase(false).wait(io.waitScope);
    load.phase(true).wait(io.waitScope);
  }
  load.print();
  std::fflush(stdout);
  std::_Exit(0);  // calls are under way: nothing to hand back in order
}
