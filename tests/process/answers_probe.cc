// A client that asks for more than it should: answers-probe ADDRESS TOKEN-FILE GROUP WHAT COUNT
// [EACH]
//   submit COUNT        one batch of so many compareAndSet that fail; what became of them
//   deaf COUNT EACH     so many calls of EACH gets, none of whose answers is read until stdin ends
//   listen COUNT        so many subscriptions, held until stdin ends
//   find COUNT          looks for a group that there is none of, so many times at once
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kv.capnp.h"
#include "schemas/client.capnp.h"
#include "tests/process/probe_login.h"

namespace {

namespace schema = flotilla::schema;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // Cap'n Proto's servers have none
class Sink final : public schema::EventSink::Server {
protected:
  kj::Promise<void> push(PushContext) override { return kj::READY_NOW; }
};
#pragma GCC diagnostic pop

template <typename Params, typename Fill>
kj::Array<kj::byte> flat(Fill fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<Params>());
  auto bytes = message.getSegmentsForOutput()[0].asBytes();
  return kj::heapArray<kj::byte>(bytes.begin(), bytes.size());
}

void untilStdinEnds() {
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}

struct Probe {
  kj::AsyncIoContext& io;
  schema::Host::Client host;
  schema::Group::Client group;

  auto query(unsigned count) {
    auto params = flat<Kv::GetParams>([](auto to) { to.setKey("big"); });
    auto request = group.queryRequest();
    for (auto one : request.initQuestions(count)) {
      one.setInterfaceId(capnp::typeId<Kv>());
      one.setMethod(1);
      one.setParams(params);
    }
    request.initFreshness().setStaleMaxAgeMs(0);
    return request.send();
  }

  void submit(unsigned count) {
    auto params = flat<Kv::CompareAndSetParams>([](auto to) {
      to.setKey("big");
      to.setExpected(kj::StringPtr("no").asBytes());
    });
    auto request = group.submitRequest();
    for (auto one : request.initCommands(count)) {
      one.setInterfaceId(capnp::typeId<Kv>());
      one.setMethod(4);
      one.setParams(params);
    }
    auto response = request.send().wait(io.waitScope);
    unsigned answered = 0;
    unsigned noRoom = 0;
    for (auto outcome : response.getOutcomes()) {
      if (outcome.isAnswer()) {
        ++answered;
      } else if (outcome.getFault().getCode() == schema::ErrorCode::UNKNOWN) {
        ++noRoom;
      }
    }
    std::printf("%u %u\n", answered, noRoom);
  }

  void deaf(unsigned count, unsigned each) {
    std::vector<kj::Promise<void>> calls;
    for (unsigned i = 0; i < count; ++i) {
      calls.push_back(query(each).ignoreResult().eagerlyEvaluate(nullptr));
    }
    io.provider->getTimer().afterDelay(20 * kj::MILLISECONDS).wait(io.waitScope);
    std::printf("sent\n");
    untilStdinEnds();  // the loop does not run meanwhile
    std::_Exit(0);
  }

  void listen(unsigned count) {
    std::vector<schema::Subscription::Client> held;
    unsigned refused = 0;
    for (unsigned i = 0; i < count; ++i) {
      auto request = group.subscribeRequest();
      request.initAfter().setIndex(UINT64_MAX);
      request.setSink(kj::heap<Sink>());
      request.send()
          .then([&held](auto response) { held.push_back(response.getSubscription()); },
                [&refused](kj::Exception&&) { ++refused; })
          .wait(io.waitScope);
    }
    std::printf("%zu %u\n", held.size(), refused);
    untilStdinEnds();
  }

  void find(unsigned count) {
    unsigned none = 0;
    unsigned refused = 0;
    std::vector<kj::Promise<void>> calls;
    for (unsigned i = 0; i < count; ++i) {
      auto request = host.findGroupRequest();
      request.setName("gone");
      calls.push_back(request.send().then([](auto) {},
                                          [&](kj::Exception&& why) {
                                            bool full =
                                                why.getType() == kj::Exception::Type::OVERLOADED;
                                            ++(full ? refused : none);
                                          }));
    }
    for (auto& call : calls) call.wait(io.waitScope);
    std::printf("%u %u\n", none, refused);
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  std::string what = argv[4];
  auto count = static_cast<unsigned>(std::strtoul(argv[5], nullptr, 10));
  try {
    flotilla::test::ProbeLogin session(argv[1], argv[2]);
    auto request = session.host.findGroupRequest();
    request.setName(argv[3]);
    auto found = request.send().wait(session.io.waitScope);
    Probe probe{session.io, session.host, found.getGroup()};
    if (what == "submit") probe.submit(count);
    if (what == "deaf" && argc > 6) {
      probe.deaf(count, static_cast<unsigned>(std::strtoul(argv[6], nullptr, 10)));
    }
    if (what == "listen") probe.listen(count);
    if (what == "find") probe.find(count);
    return 0;
  } catch (const kj::Exception& exception) {
    std::printf("exception %s\n", exception.getDescription().cStr());
    return 1;
  }
}
