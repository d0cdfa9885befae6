// Calls that a schema allows, made up from a seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <capnp/dynamic.h>
#include <capnp/schema-loader.h>

#include "flotilla/abi.h"
#include "flotilla/bytes.h"
#include "host/base/prng.h"
#include "host/group/ports.h"

namespace flotilla::plugin {

// One call of a workload.
struct WorkloadCall {
  bool query = false;
  uint64_t interfaceId = 0;
  uint16_t method = 0;
  Bytes params;      // one segment
  std::string text;  // for people: add(name = "b", by = 3)
};

// An endless row of calls of one plugin's methods: names and keys from a small set, so that calls
// meet; numbers small, and now and then at their limits; commands three times as often as queries.
// Call n is the same in every process.
//
// Owner:  a check; `descriptor` must outlive it.
// Thread: one.
// Errors: kj::Exception where the schema contradicts itself, which checkDescriptor has ruled out.
class Workload {
public:
  Workload(const flotilla_descriptor& descriptor, uint64_t seed);

  WorkloadCall call(uint64_t number);
  // The answer to a call, for people; says so where the segment cannot be read.
  std::string answerText(const WorkloadCall& call, std::string_view segment);

private:
  struct Method {
    flotilla_method row;
    capnp::InterfaceSchema::Method schema;
  };

  const Method& methodOf(const WorkloadCall& call) const;
  void fill(capnp::DynamicStruct::Builder to, base::Prng& prng, unsigned depth);
  void fillField(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field,
                 base::Prng& prng, unsigned depth);
  void fillList(capnp::DynamicList::Builder to, base::Prng& prng, unsigned depth);

  capnp::SchemaLoader loader_;
  uint64_t seed_;
  std::vector<Method> commands_;
  std::vector<Method> queries_;
};

}  // namespace flotilla::plugin
