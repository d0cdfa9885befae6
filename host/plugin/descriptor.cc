// Holds a plugin's descriptor against this host and against its own schema.
#include "host/plugin/descriptor.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <set>
#include <string_view>
#include <vector>

#include <capnp/common.h>
#include <capnp/message.h>
#include <capnp/schema-loader.h>
#include <capnp/schema.capnp.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>

#include "host/plugin/method_rules.h"

namespace flotilla::plugin {
namespace {

constexpr uint64_t kMethodsMax = 4096;
constexpr uint64_t kSchemaBytesMax = uint64_t{8} << 20;
constexpr size_t kNameBytesMax = 63;
constexpr size_t kVersionBytesMax = 64;
// In ABI 1.0, which is the least.
constexpr size_t kDescriptorBytes =
    offsetof(flotilla_descriptor, memory) + sizeof(flotilla_descriptor::memory);
constexpr size_t kMethodBytes = offsetof(flotilla_method, name) + sizeof(flotilla_method::name);
#if defined(_GLIBCXX_USE_CXX11_ABI)
constexpr uint32_t kOurCxx11Abi = _GLIBCXX_USE_CXX11_ABI;
#else
constexpr uint32_t kOurCxx11Abi = 1;
#endif

std::string capnpText(uint32_t version) {
  return std::to_string(version / 1000000) + "." + std::to_string(version / 1000 % 1000) + "." +
         std::to_string(version % 1000);
}

bool isName(std::string_view name) {
  auto lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > kNameBytesMax || !lower(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return lower(c) || c == '.' || c == '_' || c == '-'; });
}

bool isVersion(std::string_view version) {
  if (version.empty() || version.size() > kVersionBytesMax) return false;
  return std::all_of(version.begin(), version.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '+' || c == '_';
  });
}

// Whether the two sides mean the same by the structs: judged before anything else is looked at.
std::string handshakeProblem(const flotilla_descriptor* d) {
  if (d == nullptr) return "flotilla_plugin gave null; it must give its descriptor";
  if (d->magic != FLOTILLA_ABI_MAGIC) {
    return "its descriptor is none of Flotilla's (wrong magic); build it with sdk/flotilla/abi.h";
  }
  if (d->abiMajor != FLOTILLA_ABI_MAJOR || d->abiMinor > FLOTILLA_ABI_MINOR) {
    return "built for ABI " + std::to_string(d->abiMajor) + "." + std::to_string(d->abiMinor) +
           ", this host has ABI " + std::to_string(FLOTILLA_ABI_MAJOR) + "." +
           std::to_string(FLOTILLA_ABI_MINOR) + "; build it against this host's sdk/";
  }
  if (d->size < kDescriptorBytes) {
    return "its descriptor has " + std::to_string(d->size) + " bytes, ABI 1.0 has " +
           std::to_string(kDescriptorBytes) + "; build it against this host's sdk/";
  }
  bool plainC = d->compiler == nullptr || d->compiler[0] == 0;
  if ((!plainC || d->capnpVersion != 0) && d->capnpVersion != CAPNP_VERSION) {
    return "built with Cap'n Proto " + capnpText(d->capnpVersion) + ", this host has " +
           capnpText(CAPNP_VERSION) + "; build it with the same one";
  }
  if (!plainC && d->cxx11Abi != kOurCxx11Abi) {
    return std::string("built by ") + d->compiler +
           " with _GLIBCXX_USE_CXX11_ABI=" + std::to_string(d->cxx11Abi) + ", this host with " +
           std::to_string(kOurCxx11Abi) + "; build it with the same setting";
  }
  return {};
}

std::string membersProblem(const flotilla_descriptor& d) {
  if (d.name == nullptr || !isName(d.name)) {
    return std::string("its name is \"") + (d.name == nullptr ? "" : d.name) +
           "\"; needs [a-z0-9][a-z0-9._-]{0,62}";
  }
  if (d.version == nullptr || !isVersion(d.version)) {
    return std::string("its version is \"") + (d.version == nullptr ? "" : d.version) +
           "\"; needs something like 1.0.0";
  }
  if (d.problem != nullptr) return d.problem;
  bool whole = d.create && d.destroy && d.apply && d.query;
  if (!whole) return "lacks create, destroy, apply or query; a machine needs all four";
  if (isOnDisk(d)) {
    if (d.size < offsetof(flotilla_descriptor, sync) + sizeof d.sync || !d.open || !d.sync) {
      return "keeps its state on disk and lacks open or sync; give it both, or leave "
             "FLOTILLA_ON_DISK out";
    }
    if ((d.abilities & FLOTILLA_CONCURRENT_QUERIES) != 0) {
      return "keeps its state on disk and has freeze, which only machines in memory can have; "
             "leave "
             "FLOTILLA_CONCURRENT_QUERIES and FLOTILLA_BESIDE out";
    }
  }
  bool saves = d.capture && d.save && d.release && d.load;
  if (!isOnDisk(d) && ((d.abilities & FLOTILLA_SNAPSHOT) == 0 || !saves)) {
    return "cannot snapshot its machine; it needs capture, save, release and load";
  }
  if ((d.abilities & FLOTILLA_DIGEST) != 0 && !d.digest) {
    return "says it has a digest and has none; give it one, or leave FLOTILLA_DIGEST out";
  }
  if (d.methodCount == 0 || d.methods == nullptr) return "has no method; a machine needs one";
  if (d.methodCount > kMethodsMax) {
    return "has " + std::to_string(d.methodCount) + " methods; at most " +
           std::to_string(kMethodsMax) + " can be served, so split the interface";
  }
  if (d.methods->size < kMethodBytes) {
    return "its method table's rows have " + std::to_string(d.methods->size) +
           " bytes, ABI 1.0 has " + std::to_string(kMethodBytes) + "; set each row's size";
  }
  for (const flotilla_method& row : methodRows(d)) {
    if ((flagsOf(row) & FLOTILLA_BESIDE) == 0 || freezeOf(d) != nullptr) continue;
    return std::string("method ") + (row.name == nullptr ? "without a name" : row.name) +
           " is to be asked beside, which needs freeze and FLOTILLA_CONCURRENT_QUERIES";
  }
  if (d.schema.start == nullptr || d.schema.size == 0) {
    return "has no schema; clients cannot call it without";
  }
  if (d.schema.size > kSchemaBytesMax || d.schema.size % sizeof(capnp::word) != 0) {
    return "its schema has " + std::to_string(d.schema.size) +
           " bytes; needs whole words, at most " + std::to_string(kSchemaBytesMax);
  }
  return {};
}

kj::ArrayPtr<const capnp::word> schemaWords(const flotilla_descriptor& d) {
  return {static_cast<const capnp::word*>(d.schema.start), d.schema.size / sizeof(capnp::word)};
}

std::string schemaProblem(const flotilla_descriptor& d) {
  // Exceptions end here: a schema that lies about itself is the plugin's fault, not ours.
  try {
    capnp::FlatArrayMessageReader message(schemaWords(d));
    capnp::SchemaLoader loader;
    for (auto node : message.getRoot<capnp::schema::CodeGeneratorRequest>().getNodes()) {
      loader.load(node);
    }
    KJ_IF_MAYBE (root, loader.tryGet(d.interfaceId)) {
      if (!root->getProto().isInterface()) {
        return "its root is " + std::string(root->getUnqualifiedName().cStr()) +
               ", which is no interface; set interfaceId to the interface's";
      }
      return methodsProblem(root->asInterface(), methodRows(d));
    }
    return "its schema does not hold its root interface; put the nodes of the interface and of all "
           "its types in";
  } catch (const kj::Exception& exception) {
    return std::string("its schema cannot be used: ") + exception.getDescription().cStr() +
           "; give the bytes of a CodeGeneratorRequest, as capnp compile -o- writes them";
  }
}

}  // namespace

uint64_t flagsOf(const flotilla_method& row) {
  bool has = row.size >= offsetof(flotilla_method, flags) + sizeof row.flags;
  return has ? row.flags : 0;
}

decltype(flotilla_descriptor::freeze) freezeOf(const flotilla_descriptor& d) {
  bool says = (d.abilities & FLOTILLA_CONCURRENT_QUERIES) != 0;
  bool has = d.size >= offsetof(flotilla_descriptor, freeze) + sizeof d.freeze;
  return says && has ? d.freeze : nullptr;
}

bool isOnDisk(const flotilla_descriptor& d) {
  return (d.abilities & FLOTILLA_ON_DISK) != 0;
}

std::vector<flotilla_method> methodRows(const flotilla_descriptor& d) {
  std::vector<flotilla_method> rows;
  const char* at = reinterpret_cast<const char*>(d.methods);
  for (uint64_t i = 0; i < d.methodCount; ++i, at += d.methods->size) {
    flotilla_method& row = rows.emplace_back();
    std::memcpy(&row, at, std::min<uint64_t>(d.methods->size, sizeof row));
  }
  return rows;
}

Result<void> checkDescriptor(const std::string& who, const flotilla_descriptor* descriptor) {
  std::string problem = handshakeProblem(descriptor);
  if (problem.empty()) problem = membersProblem(*descriptor);
  if (problem.empty()) problem = schemaProblem(*descriptor);
  if (problem.empty()) return {};
  return Fault{ErrorCode::badRequest, who + ": " + problem, {}};
}

void describe(const flotilla_descriptor& descriptor, const std::string& sha256,
              schema::PluginDescription::Builder out) {
  out.setName(descriptor.name);
  out.setVersion(descriptor.version);
  out.setSha256(sha256);
  out.setInterfaceId(descriptor.interfaceId);
  out.setStateVersion(descriptor.stateVersion);
  auto rows = methodRows(descriptor);
  auto methods = out.initMethods(static_cast<unsigned>(rows.size()));
  for (unsigned i = 0; i < methods.size(); ++i) {
    methods[i].setInterfaceId(rows[i].interfaceId);
    methods[i].setMethod(static_cast<uint16_t>(rows[i].method));
    methods[i].setName(rows[i].name);
    methods[i].setKind(rows[i].kind == FLOTILLA_QUERY ? schema::MethodKind::QUERY
                                                      : schema::MethodKind::COMMAND);
  }
  out.setSchema(schemaWords(descriptor).asBytes());
}

}  // namespace flotilla::plugin
