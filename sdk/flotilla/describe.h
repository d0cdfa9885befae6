// A machine's class, an interface and a list of handlers, made into a descriptor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <capnp/common.h>

#include "flotilla/abi.h"
#include "flotilla/disk_table.h"
#include "flotilla/instance.h"
#include "flotilla/schema_nodes.h"

namespace flotilla {

#if defined(__clang__)
inline constexpr const char* kCompiler = "clang " __clang_version__;
#else
inline constexpr const char* kCompiler = "gcc " __VERSION__;
#endif
#if defined(_GLIBCXX_USE_CXX11_ABI)
inline constexpr uint32_t kCxx11Abi = _GLIBCXX_USE_CXX11_ABI;
#else
inline constexpr uint32_t kCxx11Abi = 1;
#endif

// The functions of a descriptor, for one machine class. Here exceptions end.
//
// Thread: as abi.h says of each function.
// Errors: said through the reason; nothing is thrown.
template <typename Machine, const std::vector<Handler<Machine>>& (*handlers)()>
struct Boundary {
  using Held = Instance<Machine>;
  using Captured = typename Held::Captured;

  static void* create(const flotilla_host*, const flotilla_setting* settings, uint64_t count,
                      const flotilla_reason* reason) {
    return guarded<void*>(nullptr, *reason, [&]() -> void* {
      Config config;
      const char* at = reinterpret_cast<const char*>(settings);
      for (uint64_t i = 0; i < count; ++i, at += settings->size) {
        const auto& setting = *reinterpret_cast<const flotilla_setting*>(at);
        config.add(string(setting.key), string(setting.value));
      }
      return new Held(handlers(), config);
    });
  }
  static void destroy(void* machine) { delete static_cast<Held*>(machine); }
  static uint64_t apply(void* machine, const flotilla_command* commands, uint64_t count,
                        const flotilla_answers* answers, flotilla_cursor* cursor) {
    return static_cast<Held*>(machine)->apply(commands, count, *answers, cursor);
  }
  static int query(const void* machine, const flotilla_command* question,
                   const flotilla_answers* answers) {
    return static_cast<const Held*>(machine)->query(*question, *answers) ? 0 : 1;
  }
  static void* capture(void* machine, const flotilla_reason* reason) {
    return guarded<void*>(nullptr, *reason,
                          [&] { return static_cast<Held*>(machine)->capture().release(); });
  }
  static int save(const void* capture, const flotilla_writer* writer,
                  const flotilla_reason* reason) {
    return guarded(1, *reason, [&] {
      SnapshotWriter out(*writer);
      static_cast<const Captured*>(capture)->save(out);
      out.flush();
      return 0;
    });
  }
  static void release(void* capture) { delete static_cast<Captured*>(capture); }
  static int load(void* machine, const flotilla_reader* reader, const flotilla_reason* reason) {
    return guarded(1, *reason, [&] {
      SnapshotReader in(*reader);
      static_cast<Held*>(machine)->load(in);
      return 0;
    });
  }
  static void* freeze(void* machine, const flotilla_reason* reason) {
    return guarded<void*>(nullptr, *reason,
                          [&] { return static_cast<const Held*>(machine)->freeze().release(); });
  }
  static int open(void* machine, const flotilla_storage* storage, const flotilla_reason* reason) {
    return guarded(1, *reason, [&] {
      static_cast<Held*>(machine)->open(storage);
      return 0;
    });
  }
  static int sync(void* machine, const flotilla_reason* reason) {
    return guarded(1, *reason, [&] {
      static_cast<Held*>(machine)->sync();
      return 0;
    });
  }
  static uint64_t digest(const void* machine) {
    return static_cast<const Held*>(machine)->digest();
  }
  static uint64_t memory(const void* machine) {
    return static_cast<const Held*>(machine)->memoryBytes();
  }

private:
  static std::string string(flotilla_bytes bytes) {
    return std::string(static_cast<const char*>(bytes.start), bytes.size);
  }
  static void say(const flotilla_reason& reason, std::string_view code, std::string_view text) {
    reason.say(reason.context, {code.data(), code.size()}, {text.data(), text.size()});
  }
  template <typename Value, typename Call>
  static Value guarded(Value otherwise, const flotilla_reason& reason, Call&& call) {
    try {
      return call();
    } catch (const Error& error) {
      say(reason, error.code(), error.what());
    } catch (const SnapshotStopped&) {
      say(reason, {}, "stopped by the host");
    } catch (const StorageStopped&) {
      say(reason, {}, "stopped by the host, whose disk it needs");
    } catch (const kj::Exception& exception) {
      say(reason, {}, exception.getDescription().cStr());
    } catch (const std::exception& exception) {
      say(reason, {}, exception.what());
    } catch (...) {
      say(reason, {}, "threw something that is no std::exception");
    }
    return otherwise;
  }
};

// What flotilla_plugin returns, with all that it points at.
//
// Owner:  a static of `describe`.
// Thread: any, once constructed.
// Errors: what is wrong with the handlers is the descriptor's `problem`.
template <typename Machine, typename Interface>
class Description {
public:
  Description(const char* name, const char* version,
              std::initializer_list<Handler<Machine>> handlers, bool alone) {
    handlers_ = handlers;
    capnp::InterfaceSchema schema = capnp::Schema::from<Interface>();
    for (const Handler<Machine>& handler : handlers_) addRow(schema, handler);
    checkNamed("kFrees", frees(), FLOTILLA_FREES);
    checkNamed("kLongQueries", longQueries(), FLOTILLA_BESIDE);
    if (!longQueries().empty() && CapturesItself<Machine>) {
      problem("names kLongQueries and captures itself; only what Tables hold can be held still");
    }
    if (alone && setsTimers && !Wakes<Machine>) {
      problem(
          "calls entry.wakeAt, and its machine has no public "
          "void wake(const flotilla::Entry&, uint64_t token) to be called then");
    }
    onDisk_ = isOnDisk(alone);
    if (onDisk_ && !longQueries().empty()) {
      problem(
          "names kLongQueries and keeps its state on disk; only what Tables hold can be held "
          "still: "
          "leave kLongQueries out, and answer such a query in parts");
    }
    schema_ = SchemaNodes::of(schema);
    if constexpr (TakesOptions<Machine>) {
      configSchema_ = SchemaNodes::of(capnp::Schema::from<typename Machine::Options>());
    }
    fill(name, version, schema.getProto().getId());
  }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;

  const flotilla_descriptor& descriptor() const { return descriptor_; }

private:
  void addRow(capnp::InterfaceSchema schema, const Handler<Machine>& handler) {
    std::string name = handler.name;
    if (name.ends_with('_')) name.pop_back();  // a method whose name is a C++ keyword
    KJ_IF_MAYBE (method, schema.findMethodByName(name.c_str())) {
      if (method->getParamType().getProto().getId() != handler.paramsId) {
        problem("handler " + name + " takes other parameters than method " + name);
      }
      if (method->getResultType().getProto().getId() != handler.resultsId) {
        problem("handler " + name + " gives another result than method " + name);
      }
      rows_.push_back({sizeof(flotilla_method), method->getContainingInterface().getProto().getId(),
                       method->getOrdinal(), handler.kind, method->getProto().getName().cStr(),
                       flagsOf(name, handler.kind)});
    } else {
      problem("handler " + name + ": interface " + schema.getUnqualifiedName().cStr() +
              " has no such method");
      rows_.push_back({sizeof(flotilla_method), 0, 0, handler.kind, handler.name, 0});
    }
  }
  // What the class says of its methods, by name; see plugin.h.
  static std::span<const std::string_view> frees() {
    if constexpr (requires { std::span<const std::string_view>(Machine::kFrees); }) {
      return Machine::kFrees;
    }
    return {};
  }
  static std::span<const std::string_view> longQueries() {
    if constexpr (requires { std::span<const std::string_view>(Machine::kLongQueries); }) {
      return Machine::kLongQueries;
    }
    return {};
  }
  static bool has(std::span<const std::string_view> names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  static uint64_t flagsOf(std::string_view name, uint32_t kind) {
    if (kind == FLOTILLA_COMMAND) return has(frees(), name) ? FLOTILLA_FREES : 0;
    return has(longQueries(), name) ? FLOTILLA_BESIDE : 0;
  }
  void checkNamed(const std::string& list, std::span<const std::string_view> names, uint64_t flag) {
    for (std::string_view name : names) {
      bool known = std::any_of(rows_.begin(), rows_.end(), [&](const flotilla_method& row) {
        return name == row.name && (row.flags & flag) != 0;
      });
      if (known) continue;
      problem(list + " names " + std::string(name) + ", which is no " +
              (flag == FLOTILLA_FREES ? "command" : "query") + " of it");
    }
  }
  void problem(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
  }
  static bool isOnDisk(bool alone) {
    if constexpr (requires { Machine::kOnDisk; }) return Machine::kOnDisk;
    return alone && keepsOnDisk;
  }

  void fill(const char* name, const char* version, uint64_t interfaceId) {
    using Calls = Boundary<Machine, &Description::handlers>;
    flotilla_descriptor& d = descriptor_;
    d.size = sizeof d;
    d.magic = FLOTILLA_ABI_MAGIC;
    d.abiMajor = FLOTILLA_ABI_MAJOR;
    d.abiMinor = FLOTILLA_ABI_MINOR;
    d.sdkVersion = FLOTILLA_SDK_VERSION;
    d.capnpVersion = CAPNP_VERSION;
    d.cxx11Abi = kCxx11Abi;
    d.stateVersion = stateVersionOf<Machine>();
    d.compiler = kCompiler;
    d.name = name;
    d.version = version;
    d.problem = problem_.empty() ? nullptr : problem_.c_str();
    d.interfaceId = interfaceId;
    d.methods = rows_.data();
    d.methodCount = rows_.size();
    d.schema = {schema_.begin(), schema_.size() * sizeof(capnp::word)};
    d.configSchema = {configSchema_.begin(), configSchema_.size() * sizeof(capnp::word)};
    d.abilities = onDisk_ ? FLOTILLA_ON_DISK : FLOTILLA_SNAPSHOT;
    if (Wakes<Machine>) d.abilities |= FLOTILLA_TIMERS;
    if (!CapturesItself<Machine> || DigestsItself<Machine>) d.abilities |= FLOTILLA_DIGEST;
    d.create = Calls::create;
    d.destroy = Calls::destroy;
    d.apply = Calls::apply;
    d.query = Calls::query;
    d.capture = Calls::capture;
    d.save = Calls::save;
    d.release = Calls::release;
    d.load = Calls::load;
    d.digest = Calls::digest;
    d.memory = Calls::memory;
    if constexpr (AnswersAside<Machine>) {
      d.abilities |= FLOTILLA_CONCURRENT_QUERIES;
      d.freeze = Calls::freeze;
    }
    d.open = Calls::open;
    d.sync = Calls::sync;
  }

  static const std::vector<Handler<Machine>>& handlers() { return handlers_; }

  static inline std::vector<Handler<Machine>> handlers_;  // one description a class and interface
  std::vector<flotilla_method> rows_;
  kj::Array<capnp::word> schema_;
  kj::Array<capnp::word> configSchema_;  // its first node is the struct of the machine's options
  std::string problem_;
  bool onDisk_ = false;
  flotilla_descriptor descriptor_{};
};

// The descriptor of a machine that is built in; FLOTILLA_PLUGIN is the same with a symbol. The
// first call of a (Machine, Interface) decides; name and version must be literals. `alone`: there
// is no other machine in this shared object, so it is this one that sets timers, if any does.
//
//   flotilla::describe<Catalog, schema::CatalogMachine>("catalog", "1.0.0",
//                                                       {FLOTILLA_HANDLERS(Catalog, add, find)})
template <typename Machine, typename Interface>
const flotilla_descriptor* describe(const char* name, const char* version,
                                    std::initializer_list<Handler<Machine>> handlers,
                                    bool alone = false) {
  static const Description<Machine, Interface> description(name, version, handlers, alone);
  return &description.descriptor();
}

}  // namespace flotilla
