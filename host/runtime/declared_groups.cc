// The [[group]] tables, made true once.
#include "host/runtime/declared_groups.h"

#include <filesystem>

#include "host/base/log.h"
#include "host/net/refusal.h"
#include "host/runtime/flat_words.h"
#include "host/runtime/host_parts.h"
#include "host/store/files.h"
#include "schemas/catalog.capnp.h"

namespace flotilla::runtime {
namespace {

constexpr uint64_t kAnswerMs = 5000;

using schema::Catalog;

}  // namespace

// The leader of group 0 creates what the [[group]] tables name, once: a plugin that is not known
// yet is looked for in plugins.dirs and beside the program, or waited for.
kj::Promise<void> DeclaredGroups::declare(const catalog::CatalogView& view) {
  const Replica* catalog = parts_.replicas.find(kCatalogGroup);
  if (catalog == nullptr || catalog->broken() || !catalog->group().leads()) return kj::READY_NOW;
  for (const DeclaredGroup& group : parts_.config.groups) {
    if (declared_.count(group.name) != 0) continue;
    bool hostsKnown = true;
    for (uint64_t host : group.on) hostsKnown = hostsKnown && view.host(host);
    hostsKnown = hostsKnown && view.hosts().size() == parts_.config.founders.size();
    std::vector<catalog::OptionText> options(group.options.begin(), group.options.end());
    if (!hostsKnown || view.clusterVersion() < catalog::versionFor(options)) continue;
    if (auto plugin = view.pluginByText(group.plugin)) {
      if (!parts_.plugins->has(plugin->sha256)) continue;  // it is being fetched
      return declareFitting(group, plugin->sha256);
    }
    std::string file = pluginFile(group.plugin);
    if (!file.empty()) return pushDeclared(group.plugin, file);
  }
  return kj::READY_NOW;
}

std::string DeclaredGroups::pluginFile(const std::string& plugin) const {
  std::string name = plugin.substr(0, plugin.find('@'));
  std::vector<std::string> dirs = parts_.config.pluginDirs;
  dirs.push_back((std::filesystem::path(ownProgram()).parent_path() / "../plugins").string());
  for (const std::string& dir : dirs) {
    std::string file = (std::filesystem::path(dir) / (name + ".so")).lexically_normal().string();
    if (unfit_.count(file) == 0 && store::exists(file)) return file;
  }
  return "";
}

kj::Promise<void> DeclaredGroups::pushDeclared(std::string plugin, std::string file) {
  auto read = [file]() { return store::readWhole(file, plugin::PluginFiles::kFileBytesMax); };
  return parts_.files.run(std::move(read))
      .then([this](Result<std::string> bytes) -> kj::Promise<Result<ProbedPlugin>> {
        if (!bytes) return Result<ProbedPlugin>(bytes.fault());
        auto view = kj::arrayPtr(reinterpret_cast<const kj::byte*>(bytes->data()), bytes->size());
        return parts_.host.probePlugin(kj::heapArray(view));
      })
      .then([this](Result<ProbedPlugin> probed) -> kj::Promise<group::Outcome> {
        if (!probed) kj::throwFatalException(net::refusal(probed.fault()));
        return parts_.host.addPlugin(*probed, kAnswerMs);
      })
      .then([this, plugin, file](group::Outcome outcome) {
        if (!outcome.ok()) {
          kj::throwFatalException(net::refusal(outcome.code, std::string(outcome.body.view())));
        }
        base::logInfo("plugin " + plugin + ": pushed from " + file + " for a [[group]] table");
        parts_.keeper.wake();
      })
      .catch_([this, plugin, file](kj::Exception&& exception) {
        Fault fault = net::faultOf(exception);
        base::logError("plugin " + plugin + ": " + file + ": " + fault.text + "; push it by hand");
        unfit_.insert(file);
      });
}

// Once its machine has taken the table's settings.
kj::Promise<void> DeclaredGroups::declareFitting(const DeclaredGroup& group, std::string sha256) {
  std::vector<std::pair<std::string, std::string>> settings(group.config.begin(),
                                                            group.config.end());
  return parts_.host.trySettings(std::move(sha256), std::move(settings))
      .then([this, &group](Result<void> fit) -> kj::Promise<void> {
        if (fit) return declareGroup(group);
        declared_.insert(group.name);
        base::logError("group " + group.name +
                       ": its [[group]] table is refused: " + fit.fault().text);
        return kj::READY_NOW;
      });
}

kj::Promise<void> DeclaredGroups::declareGroup(const DeclaredGroup& group) {
  auto params = flatWords<Catalog::CreateGroupParams>([&](Catalog::CreateGroupParams::Builder to) {
    to.setDeclared(true);
    auto spec = to.initSpec();
    spec.setName(group.name);
    spec.setPlugin(group.plugin);
    auto on = spec.initOn(static_cast<unsigned>(group.on.size()));
    for (unsigned i = 0; i < on.size(); ++i) on.set(i, group.on[i]);
    auto learners = spec.initLearners(static_cast<unsigned>(group.learners.size()));
    for (unsigned i = 0; i < learners.size(); ++i) learners.set(i, group.learners[i]);
    auto put = [](const std::map<std::string, std::string>& from, auto list) {
      unsigned i = 0;
      for (const auto& [key, value] : from) {
        list[i].setKey(key);
        list[i++].setValue(value);
      }
    };
    put(group.options, spec.initOptions(static_cast<unsigned>(group.options.size())));
    put(group.config, spec.initConfig(static_cast<unsigned>(group.config.size())));
  });
  return parts_.host.catalogCall(2, std::move(params), kAnswerMs)
      .then([this, name = group.name](group::Outcome outcome) {
        if (!outcome.ok() && outcome.code != ErrorCode::app) return;  // asked again
        declared_.insert(name);
        if (!outcome.ok()) {
          base::logError("group " + name +
                         ": its [[group]] table is refused: " + std::string(outcome.body.view()));
        }
        parts_.keeper.wake();
      });
}

}  // namespace flotilla::runtime
