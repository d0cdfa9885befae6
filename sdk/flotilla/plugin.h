// All that a plugin's source includes.
#pragma once

#include "flotilla/describe.h"
#include "flotilla/disk_table.h"
#include "flotilla/entry.h"
#include "flotilla/error.h"
#include "flotilla/single.h"
#include "flotilla/table.h"
#include "flotilla/views.h"

// A machine is a class with a handler for each method of its interface:
//
//   void put(const flotilla::Entry&, Kv::PutParams::Reader, Kv::PutResults::Builder);
//       a command: replicated, carried out once on every replica, in the log's order
//   void get(const flotilla::View&, Kv::GetParams::Reader, Kv::GetResults::Builder) const;
//       a query: const, so it cannot change anything
//
// Where it sets timers (entry.wakeAt), `void wake(const flotilla::Entry&, uint64_t token)` is
// called when one comes due; where it helps, `void prepare(Kv::PutParams::Reader) const` is called
// ahead for each command of a run, so that Tables can prefetch. Its members are flotilla::Table, or
// flotilla::DiskTable for a state on disk, Single and Fixed; then snapshots, digests and undoing a
// failed command come with it. A machine that keeps its state otherwise has capture() and load()
// (instance.h). Commands that make it smaller, named in `static constexpr std::string_view kFrees[]
// = {"remove"}`, are taken where the group's quota of memory has the others refused. Queries that
// may take long, named in `kLongQueries` likewise, are asked of a copy of the Tables (made in
// O(1)), on any thread, while commands go on; they see all that they would have seen. Both lists
// are public. It is constructed from nothing, from a `const flotilla::Config&`, or from its
// `Options`, a struct of its schema
// (options.h).
//
// FLOTILLA_PLUGIN(Machine, Interface, "1.0.0", put, get) ends the source and exports the one
// symbol. The plugin's name is that of the target: flotilla_add_plugin(NAME …) defines
// FLOTILLA_PLUGIN_NAME.

#define FLOTILLA_PARENTHESES ()
#define FLOTILLA_EXPAND(...) \
  FLOTILLA_EXPAND3(FLOTILLA_EXPAND3(FLOTILLA_EXPAND3(FLOTILLA_EXPAND3(__VA_ARGS__))))
#define FLOTILLA_EXPAND3(...) \
  FLOTILLA_EXPAND2(FLOTILLA_EXPAND2(FLOTILLA_EXPAND2(FLOTILLA_EXPAND2(__VA_ARGS__))))
#define FLOTILLA_EXPAND2(...) \
  FLOTILLA_EXPAND1(FLOTILLA_EXPAND1(FLOTILLA_EXPAND1(FLOTILLA_EXPAND1(__VA_ARGS__))))
#define FLOTILLA_EXPAND1(...) __VA_ARGS__
#define FLOTILLA_ONE(MACHINE, METHOD, ...)                \
  ::flotilla::handler<&MACHINE::METHOD, MACHINE>(#METHOD) \
      __VA_OPT__(, FLOTILLA_AGAIN FLOTILLA_PARENTHESES(MACHINE, __VA_ARGS__))
#define FLOTILLA_AGAIN() FLOTILLA_ONE

// The rows for `describe`: up to 64 handlers.
#define FLOTILLA_HANDLERS(MACHINE, ...) FLOTILLA_EXPAND(FLOTILLA_ONE(MACHINE, __VA_ARGS__))

#define FLOTILLA_PLUGIN(MACHINE, INTERFACE, VERSION, ...)                                \
  extern "C" const flotilla_descriptor* flotilla_plugin(void) {                          \
    return ::flotilla::describe<MACHINE, INTERFACE>(                                     \
        FLOTILLA_PLUGIN_NAME, VERSION, {FLOTILLA_HANDLERS(MACHINE, __VA_ARGS__)}, true); \
  }
