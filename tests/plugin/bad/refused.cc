// A plugin with one fault, chosen by a definition.
#include <csignal>
#include <cstdlib>
#include <flotilla/plugin.h>
#include <stdexcept>
#include <unistd.h>

#include "bad.capnp.h"

using flotilla::Entry;
using flotilla::View;

class Machine {
public:
#if defined(BAD_LONG_ON_DISK)
  static constexpr std::string_view kLongQueries[] = {"get"};
#endif
#if defined(BAD_CREATE_THROWS)
  Machine() {
    throw std::runtime_error("no machine today");
  }
#elif defined(BAD_MACHINE_CRASH)
  Machine() {
    raise(SIGSEGV);
  }
#endif

  void put(const Entry& entry, Plain::PutParams::Reader in, Plain::PutResults::Builder) {
    keys_.set(flotilla::bytes(in.getKey()), 1);
#if defined(BAD_NO_WAKE) || defined(BAD_OTHER_WAKE)
    if (entry.index() == 0) entry.wakeAt(0);  // which never happens
#else
    static_cast<void>(entry);
#endif
  }
#if defined(BAD_OTHER_WAKE)
  void wake(const Entry&) {}
#endif
  void get(const View&, Plain::GetParams::Reader in, Plain::GetResults::Builder out) const {
    out.setFound(keys_.has(flotilla::bytes(in.getKey())));
  }
  void extra(const View&, Plain::GetParams::Reader, Plain::GetResults::Builder) const {}

private:
#if defined(BAD_LONG_ON_DISK)
  flotilla::DiskTable<std::string, uint32_t> keys_;
#else
  flotilla::Table<std::string, uint32_t> keys_;
#endif
#if defined(BAD_TWO_HOMES)
  flotilla::DiskTable<std::string, uint32_t> more_;
#endif
#if defined(BAD_PLAIN_MEMBER)
  [[maybe_unused]] uint64_t forgotten_ = 0;
#endif
};

#if defined(BAD_CONSTRUCTOR_CRASH)
static const int crashes = raise(SIGSEGV);
#elif defined(BAD_CONSTRUCTOR_THROWS)
static const int throws = [] {
  if (std::getenv("PATH") != nullptr) throw std::runtime_error("no library today");
  return 0;
}();
#elif defined(BAD_LOAD_HANG)
static const int hangs = [] {
  for (;;) pause();
  return 0;
}();
#elif defined(BAD_LOAD_EXIT)
static const int exits = [] {
  _exit(0);
  return 0;
}();
#endif

extern "C" const flotilla_descriptor* flotilla_plugin(void) {
#if defined(BAD_MISSING_HANDLER)
  static flotilla_descriptor d = *flotilla::describe<Machine, Plain>(
      FLOTILLA_PLUGIN_NAME, "1.0.0", {FLOTILLA_HANDLERS(Machine, put)});
#elif defined(BAD_EXTRA_HANDLER)
  static flotilla_descriptor d = *flotilla::describe<Machine, Plain>(
      FLOTILLA_PLUGIN_NAME, "1.0.0", {FLOTILLA_HANDLERS(Machine, put, get, extra)});
#elif defined(BAD_OTHER_PARAMS)
  auto other = flotilla::handler<&Machine::put>("put");
  other.paramsId = capnp::typeId<Plain::GetParams>();
  static flotilla_descriptor d = *flotilla::describe<Machine, Plain>(
      FLOTILLA_PLUGIN_NAME, "1.0.0", {other, flotilla::handler<&Machine::get>("get")});
#elif defined(BAD_CAPABILITY)
  static flotilla_descriptor d = *flotilla::describe<Machine, WithCapability>(
      FLOTILLA_PLUGIN_NAME, "1.0.0",
      {{"put", FLOTILLA_COMMAND, capnp::typeId<WithCapability::PutParams>(),
        capnp::typeId<WithCapability::PutResults>(), nullptr, nullptr, nullptr}});
#elif defined(BAD_ANY_POINTER)
  static flotilla_descriptor d = *flotilla::describe<Machine, WithAnyPointer>(
      FLOTILLA_PLUGIN_NAME, "1.0.0",
      {{"put", FLOTILLA_COMMAND, capnp::typeId<WithAnyPointer::PutParams>(),
        capnp::typeId<WithAnyPointer::PutResults>(), nullptr, nullptr, nullptr}});
#elif defined(BAD_STREAM)
  static flotilla_descriptor d = *flotilla::describe<Machine, WithStream>(
      FLOTILLA_PLUGIN_NAME, "1.0.0",
      {{"put", FLOTILLA_COMMAND, capnp::typeId<WithStream::PutParams>(),
        capnp::typeId<WithStream::PutResults>(), nullptr, nullptr, nullptr}});
#elif defined(BAD_GENERIC)
  static flotilla_descriptor d = *flotilla::describe<Machine, WithGeneric>(
      FLOTILLA_PLUGIN_NAME, "1.0.0",
      {{"put", FLOTILLA_COMMAND, capnp::typeId<WithGeneric::PutParams>(),
        capnp::typeId<WithGeneric::PutResults>(), nullptr, nullptr, nullptr}});
#else
  static flotilla_descriptor d = *flotilla::describe<Machine, Plain>(
      FLOTILLA_PLUGIN_NAME, "1.0.0", {FLOTILLA_HANDLERS(Machine, put, get)}, true);
#endif
#if defined(BAD_CAPNP)
  d.capnpVersion = 1'000'001;
#elif defined(BAD_COMPILER)
  d.cxx11Abi = 0;
#elif defined(BAD_NULL)
  return nullptr;
#endif
  return &d;
}
