// What one connection may have under way.
#include "host/api/admission.h"

#include <vector>

#include <doctest/doctest.h>
#include <kj/debug.h>

namespace flotilla::api {

TEST_CASE(
    "api/admission: a connection is refused past its calls, and has room again after answers") {
  auto admission = kj::refcounted<Admission>([] { return size_t{0}; });
  auto most = admission->enter(Admission::kCallsMax - 1, 0);
  REQUIRE(most != nullptr);
  auto last = admission->enter(1, 0);
  REQUIRE(last != nullptr);
  CHECK(admission->enter(1, 0) == nullptr);
  last = nullptr;
  CHECK(admission->enter(2, 0) == nullptr);
  CHECK(admission->enter(1, 0) != nullptr);
}

TEST_CASE("api/admission: bytes are bounded, but one call alone always has room") {
  auto admission = kj::refcounted<Admission>([] { return size_t{0}; });
  auto large = admission->enter(1, Admission::kBytesMax + 1);
  REQUIRE(large != nullptr);
  CHECK(admission->enter(1, 1) == nullptr);
  large = nullptr;
  CHECK(admission->enter(1, 1) != nullptr);
}

TEST_CASE(
    "api/admission: answers that nobody takes are bounded, and leave their room when they go") {
  constexpr size_t kMiB = 1 << 20;
  size_t unsent = 0;
  auto admission = kj::refcounted<Admission>([&unsent] { return unsent; });
  auto ticket = admission->enter(1, 0);
  REQUIRE(ticket != nullptr);
  auto share = KJ_ASSERT_NONNULL(ticket).share();
  CHECK(share->take(Admission::kAnswersBytesMax));
  CHECK(admission->enter(1, 0) != nullptr);
  CHECK(share->take(1));
  CHECK(admission->enter(1, 0) == nullptr);

  // What has become a message counts until that has left.
  ticket = nullptr;
  share = {};
  unsent = Admission::kAnswersBytesMax + 1;
  CHECK(admission->enter(1, 0) == nullptr);
  unsent = 0;
  ticket = admission->enter(1, 0);
  REQUIRE(ticket != nullptr);
  share = KJ_ASSERT_NONNULL(ticket).share();
  unsent = runtime::AnswerRoom::kBytesMax - kMiB;
  CHECK(share->take(kMiB));
  CHECK_FALSE(share->take(1));
}

TEST_CASE("api/admission: what another host has admitted is not refused a second time") {
  auto admission = kj::refcounted<Admission>(Admission::Boundless());
  auto most = admission->enter(Admission::kCallsMax, Admission::kBytesMax);
  CHECK(admission->enter(1, 1) != nullptr);
}

}  // namespace flotilla::api
