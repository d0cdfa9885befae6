// A machine's member function as a row of its method table.
#pragma once

#include <concepts>
#include <cstdint>

#include <capnp/any.h>
#include <capnp/message.h>
#include <capnp/schema.h>

#include "flotilla/abi.h"
#include "flotilla/entry.h"

namespace flotilla {

// What the C boundary calls, with the types taken out. Made by `handler<&Machine::put>("put")`.
template <typename Machine>
struct Handler {
  const char*
      name;  // the member function's; a trailing underscore, as in delete_, is not the method's
  uint32_t kind;      // FLOTILLA_COMMAND or FLOTILLA_QUERY
  uint64_t paramsId;  // of the structs in its signature, to be held against the schema
  uint64_t resultsId;
  void (*command)(Machine&, const Entry&, capnp::AnyStruct::Reader, capnp::MessageBuilder&);
  void (*query)(const Machine&, const View&, capnp::AnyStruct::Reader, capnp::MessageBuilder&);
  void (*prepare)(const Machine&,
                  capnp::AnyStruct::Reader);  // null: the machine has no such overload
};

namespace typed {

template <typename Machine, typename Params>
concept Prepares = requires(const Machine& machine, typename Params::Reader params) {
  machine.prepare(params);
};

template <auto Member>
struct Signature {
  static_assert(sizeof(Member) == 0,
                "a handler is `void (const flotilla::Entry&, P::Reader, R::Builder)` or "
                "`void (const flotilla::View&, P::Reader, R::Builder) const`");
};

template <typename Machine, typename Params, typename Results>
Handler<Machine> row(const char* name, uint32_t kind) {
  Handler<Machine> handler{};
  handler.name = name;
  handler.kind = kind;
  handler.paramsId = capnp::typeId<Params>();
  handler.resultsId = capnp::typeId<Results>();
  if constexpr (Prepares<Machine, Params>) {
    handler.prepare = [](const Machine& machine, capnp::AnyStruct::Reader params) {
      machine.prepare(params.as<Params>());
    };
  }
  return handler;
}

template <typename Declares, typename ParamsReader, typename ResultsBuilder,
          void (Declares::*Member)(const Entry&, ParamsReader, ResultsBuilder)>
struct Signature<Member> {
  using Class = Declares;
  using Params = typename ParamsReader::Reads;
  using Results = typename ResultsBuilder::Builds;
  template <std::derived_from<Declares> Machine>
  static Handler<Machine> handler(const char* name) {
    Handler<Machine> handler = row<Machine, Params, Results>(name, FLOTILLA_COMMAND);
    handler.command = [](Machine& machine, const Entry& entry, capnp::AnyStruct::Reader params,
                         capnp::MessageBuilder& results) {
      (machine.*Member)(entry, params.as<Params>(), results.initRoot<Results>());
    };
    return handler;
  }
};

template <typename Declares, typename ParamsReader, typename ResultsBuilder,
          void (Declares::*Member)(const View&, ParamsReader, ResultsBuilder) const>
struct Signature<Member> {
  using Class = Declares;
  using Params = typename ParamsReader::Reads;
  using Results = typename ResultsBuilder::Builds;
  template <std::derived_from<Declares> Machine>
  static Handler<Machine> handler(const char* name) {
    Handler<Machine> handler = row<Machine, Params, Results>(name, FLOTILLA_QUERY);
    handler.query = [](const Machine& machine, const View& view, capnp::AnyStruct::Reader params,
                       capnp::MessageBuilder& results) {
      (machine.*Member)(view, params.as<Params>(), results.initRoot<Results>());
    };
    return handler;
  }
};

}  // namespace typed

// A machine may have the handler from a class that it extends, as its interface extends that one's.
template <auto Member, typename Machine = typename typed::Signature<Member>::Class>
Handler<Machine> handler(const char* name) {
  return typed::Signature<Member>::template handler<Machine>(name);
}

}  // namespace flotilla
