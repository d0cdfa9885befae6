// What one connection may have under way.
#include "host/api/admission.h"

#include <vector>

#include <doctest/doctest.h>

namespace flotilla::api {

TEST_CASE(
    "api/admission: a connection is refused past its calls, and has room again after answers") {
  auto admission = kj::refcounted<Admission>();
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
  auto admission = kj::refcounted<Admission>();
  auto large = admission->enter(1, Admission::kBytesMax + 1);
  REQUIRE(large != nullptr);
  CHECK(admission->enter(1, 1) == nullptr);
  large = nullptr;
  CHECK(admission->enter(1, 1) != nullptr);
}

}  // namespace flotilla::api
