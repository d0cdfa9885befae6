// The groups that the bench calls, made where they are missing.
#include "tests/bench/groups.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "sdk/client/fault_text.h"
#include "tests/bench/road.h"

namespace flotilla::bench {
namespace {

constexpr uint32_t kListMax = 10'000;
constexpr size_t kMakingMax = 256;  // groups at a time

// kv.so as it was built, or installed, with this program; empty where it is not there.
kj::Array<kj::byte> kvPlugin() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"../plugins/kv.so", "../lib/flotilla/plugins/kv.so"}) {
    std::ifstream file(self / place, std::ios::binary);
    if (!file) continue;
    std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return kj::heapArray(kj::StringPtr(bytes.data(), bytes.size()).asBytes());
  }
  return nullptr;
}

kj::Promise<void> ensurePlugin(client::Client& client) {
  return client.admin().listPlugins().then([&client](auto&& response) -> kj::Promise<void> {
    for (auto plugin : response.getPlugins()) {
      if (plugin.getName() == "kv") return kj::READY_NOW;
    }
    kj::Array<kj::byte> file = kvPlugin();
    if (file.size() == 0) {
      return client::exceptionOf({ErrorCode::badRequest,
                                  "plugin kv: neither in the cluster nor beside this program; push "
                                  "it with flotilla plugin push",
                                  ""});
    }
    return client.admin().pushPlugin(kj::mv(file)).ignoreResult();
  });
}

// The names of all groups from `after` on.
kj::Promise<void> list(client::Client& client, std::string after, std::set<std::string>& to) {
  return client.host()
      .then([after](schema::Host::Client host) {
        auto request = host.listGroupsRequest();
        request.setAfter(after);
        request.setLimit(kListMax);
        return request.send();
      })
      .then([&client, &to](auto&& response) -> kj::Promise<void> {
        for (auto group : response.getGroups()) to.insert(group.getName().cStr());
        if (!response.getMore() || response.getGroups().size() == 0) return kj::READY_NOW;
        auto groups = response.getGroups();
        return list(client, groups[groups.size() - 1].getName().cStr(), to);
      });
}

// One of several that make groups until none is missing.
kj::Promise<void> make(client::Client& client, const Options& options,
                       std::vector<std::string>& missing) {
  if (missing.empty()) return kj::READY_NOW;
  std::string name = std::move(missing.back());
  missing.pop_back();
  return client.admin()
      .createGroup([name, replicas = options.replicas](schema::GroupSpec::Builder spec) {
        spec.setName(name);
        spec.setPlugin("kv");
        spec.setReplicas(replicas);
      })
      .then([&client, &options, &missing](auto&&) { return make(client, options, missing); });
}

}  // namespace

kj::Promise<uint32_t> ensureGroups(client::Client& client, const Options& options) {
  auto there = kj::heap<std::set<std::string>>();
  std::set<std::string>& known = *there;
  return list(client, "", known)
      .then([&client, &options, &known]() -> kj::Promise<uint32_t> {
        auto missing = kj::heap<std::vector<std::string>>();
        std::vector<std::string>& names = *missing;
        for (uint32_t group = options.groups; group > 0; --group) {
          if (!known.contains(options.groupName(group - 1)))
            names.push_back(options.groupName(group - 1));
        }
        auto made = static_cast<uint32_t>(names.size());
        if (made == 0) return made;
        return ensurePlugin(client)
            .then([&client, &options, &names]() {
              size_t makers = std::min(kMakingMax, names.size());
              auto all = kj::heapArrayBuilder<kj::Promise<void>>(makers);
              for (size_t i = 0; i < makers; ++i) all.add(make(client, options, names));
              return kj::joinPromises(all.finish());
            })
            .then([made]() { return made; })
            .attach(kj::mv(missing));
      })
      .attach(kj::mv(there));
}

}  // namespace flotilla::bench
