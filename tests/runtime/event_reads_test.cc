// Who waits for a replica's events, and what they are told.
#include "host/runtime/event_reads.h"

#include <doctest/doctest.h>
#include <kj/async.h>

using namespace flotilla;

namespace {

struct Loop {
  kj::EventLoop loop;
  kj::WaitScope scope{loop};
};

}  // namespace

TEST_CASE("runtime/event_reads: one who waits goes on once there is more than he knows") {
  Loop at;
  runtime::EventReads reads;
  reads.stands({10, 2});
  CHECK(reads.past({10, 1}).poll(at.scope));
  CHECK(!reads.any());
  auto same = reads.past({10, 2});
  auto ahead = reads.past({12, 1});
  CHECK(reads.any());
  CHECK(!same.poll(at.scope));
  reads.stands({10, 2});
  CHECK(!same.poll(at.scope));
  reads.stands({11, 1});
  CHECK(same.poll(at.scope));
  CHECK(!ahead.poll(at.scope));
  // An older state that came back has less; who waits for what is past it waits on.
  reads.stands({9, 1});
  CHECK(!ahead.poll(at.scope));
  reads.stands({12, 2});
  CHECK(ahead.poll(at.scope));
  CHECK(!reads.any());
}

TEST_CASE("runtime/event_reads: a machine that has stopped sends all on, with its reason") {
  Loop at;
  runtime::EventReads reads;
  auto one = reads.past({1, 1});
  auto other = reads.past({2, 1});
  reads.stopped({ErrorCode::unavailable, "its machine is faulted here", ""});
  CHECK(!reads.any());
  for (auto* each : {&one, &other}) {
    REQUIRE(each->poll(at.scope));
    std::string why;
    each->then([]() {}, [&why](kj::Exception&& told) { why = told.getDescription().cStr(); })
        .wait(at.scope);
    CHECK(why == "its machine is faulted here");
  }
}

TEST_CASE("runtime/event_reads: who waits no more is forgotten") {
  Loop at;
  runtime::EventReads reads;
  for (int i = 0; i < 100; ++i) {
    auto gone = reads.past({1, 1});
    CHECK(!gone.poll(at.scope));
  }
  auto stays = reads.past({1, 1});
  reads.stands({2, 1});
  CHECK(stays.poll(at.scope));
  CHECK(!reads.any());
}

TEST_CASE("runtime/event_reads: an answer to a look of a life before is nobody's") {
  runtime::EventReads reads;
  reads.seen({17, Fault{ErrorCode::unavailable, "late", ""}});
  CHECK(!reads.any());
}
