// Params as flat words.
#include "host/api/words.h"

#include <string>

#include <capnp/capability.h>
#include <capnp/message.h>
#include <doctest/doctest.h>

#include "host/runtime/flat_words.h"
#include "schemas/client.capnp.h"
#include "schemas/types.capnp.h"

namespace flotilla::api {

TEST_CASE("api/words: whatever the segments it came in, a struct is one segment, root first") {
  capnp::MallocMessageBuilder message(1, capnp::AllocationStrategy::FIXED_SIZE);
  auto spec = message.initRoot<schema::GroupSpec>();
  spec.setName("orders");
  auto options = spec.initOptions(3);
  for (unsigned i = 0; i < 3; ++i) {
    options[i].setKey("key " + std::to_string(i));
    options[i].setValue(std::string(100 * i, 'x'));
  }
  REQUIRE(message.getSegmentsForOutput().size() > 1);
  Result<Bytes> flat = flatten(message.getRoot<capnp::AnyPointer>().asReader());
  REQUIRE(flat);
  CHECK(flat->size() % sizeof(capnp::word) == 0);
  runtime::FlatReader reader(*flat);
  auto back = reader.root<schema::GroupSpec>();
  CHECK(std::string(back.getName().cStr()) == "orders");
  REQUIRE(back.getOptions().size() == 3);
  CHECK(back.getOptions()[2].getValue().size() == 200);
}

TEST_CASE("api/words: nothing at all is a null pointer") {
  capnp::MallocMessageBuilder message;
  Result<Bytes> flat = flatten(message.getRoot<capnp::AnyPointer>().asReader());
  REQUIRE(flat);
  CHECK(flat->view() == std::string(8, '\0'));
}

TEST_CASE("api/words: a capability is refused by name") {
  capnp::MallocMessageBuilder message;
  auto login = message.initRoot<schema::Login>();
  login.setAdmin(capnp::Capability::Client(kj::Exception(
      kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::str("nobody answers here"))));
  Result<Bytes> flat = flatten(message.getRoot<capnp::AnyPointer>().asReader());
  REQUIRE_FALSE(flat);
  CHECK(flat.fault() == Fault{ErrorCode::badRequest,
                              "params: carry a capability, which cannot be replicated; pass values",
                              ""});
}

TEST_CASE("api/words: what is over the limit is refused with both numbers") {
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::Command>().initParams(kParamsBytesMax);
  Result<Bytes> flat = flatten(message.getRoot<capnp::AnyPointer>().asReader());
  REQUIRE_FALSE(flat);
  CHECK(flat.fault().code == ErrorCode::tooLarge);
  CHECK(flat.fault().text.ends_with(" bytes; at most 4194304"));
}

TEST_CASE("api/words: damaged words are refused, not read") {
  // A struct of one data word that would lie far beyond the segment's end.
  alignas(8) const uint64_t beyond[] = {0x0000000100001000ULL};
  kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(beyond), 1);
  capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1));
  Result<Bytes> flat = flatten(message.getRoot<capnp::AnyPointer>());
  REQUIRE_FALSE(flat);
  CHECK(flat.fault().code == ErrorCode::badRequest);
  CHECK(flat.fault().text.starts_with("params: damaged: "));
}

}  // namespace flotilla::api
