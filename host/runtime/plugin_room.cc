// The plugins of this host: files, and the libraries opened from them.
#include "host/runtime/plugin_room.h"

#include <fstream>
#include <unistd.h>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "host/plugin/descriptor.h"
#include "host/plugin/probe.h"
#include "schemas/client.capnp.h"

namespace flotilla::runtime {
namespace {

constexpr int kProbeMs = 10'000;
constexpr int kStateProbeMs = 65'000;
constexpr const char* kStateAside = ".writing";  // what PluginFiles sweeps at a start

// A path of ours says nothing to the asker.
Fault pathless(Fault fault, const std::string& path) {
  std::string who = "plugin " + path + ": ";
  if (fault.text.starts_with(who)) fault.text.erase(0, who.size());
  return fault;
}

// Owner:  one call. Thread: one. Errors: what cannot be written is `io`.
class StateSink final : public group::SnapshotSink {
public:
  explicit StateSink(const std::string& path) : out_(path, std::ios::binary) {}
  Result<void> write(std::string_view piece) override {
    out_.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    return ended(out_.good());
  }
  Result<void> close() {
    out_.close();
    return ended(!out_.fail());
  }

private:
  static Result<void> ended(bool well) {
    if (well) return {};
    return Fault{ErrorCode::io,
                 "a copy of the state for the trial cannot be written; is there room?", ""};
  }
  std::ofstream out_;
};

Result<void> saveTo(const std::string& path, const group::Capture& state) {
  StateSink sink(path);
  if (auto saved = state.save(sink); !saved) return saved;
  return sink.close();
}

}  // namespace

Result<std::unique_ptr<PluginRoom>> PluginRoom::open(const std::string& directory,
                                                     plugin::TrustedPlugins trusted,
                                                     std::string checker) {
  auto files = plugin::PluginFiles::open(directory);
  if (!files) return files.fault();
  return std::unique_ptr<PluginRoom>(
      new PluginRoom(directory, std::move(*files), std::move(trusted), std::move(checker)));
}

Result<PluginSummary> PluginRoom::add(std::string_view bytes) {
  std::string hash = plugin::sha256Of(bytes);
  if (!trusted_.allows(hash, true)) {
    return Fault{ErrorCode::denied,
                 "plugin " + hash.substr(0, 12) +
                     ": not allowed by plugins.trusted of this host; add its SHA-256 there",
                 ""};
  }
  bool known = files_.has(hash);
  auto added = files_.add(bytes);
  if (!added) return added.fault();
  auto described = describe(*added);
  // A file that cannot be used must not lie about, or it would be offered to other hosts.
  if (!described && !known) ::unlink(files_.pathOf(*added).c_str());
  return described;
}

Result<const flotilla_descriptor*> PluginRoom::openProbed(const std::string& sha256) {
  auto path = files_.verifiedPath(sha256);
  if (!path) return path.fault();
  auto facts = plugin::probe(checker_, *path, kProbeMs);
  if (!facts) return facts.fault();
  auto library = plugin::Library::open(*path);
  if (!library) return library.fault();
  return library->descriptor();
}

Result<const flotilla_descriptor*> PluginRoom::descriptor(const std::string& sha256) {
  std::lock_guard lock(mutex_);
  auto at = opened_.find(sha256);
  if (at != opened_.end()) return at->second;
  if (!trusted_.allows(sha256, true)) {
    return Fault{ErrorCode::denied,
                 "plugin " + sha256.substr(0, 12) +
                     ": not allowed by plugins.trusted of this host; add its SHA-256 there",
                 ""};
  }
  auto opened = openProbed(sha256);
  if (opened) opened_.emplace(sha256, *opened);
  return opened;
}

Result<void> PluginRoom::trySettings(const std::string& sha256, const plugin::Settings& settings) {
  std::string text = sha256;
  for (const auto& [key, value] : settings) {
    text += "\n" + std::to_string(key.size()) + key + std::to_string(value.size()) + value;
  }
  std::string tried = plugin::sha256Of(text);
  {
    std::lock_guard lock(fittedMutex_);
    if (fitted_.count(tried) != 0) return {};
  }
  auto path = files_.verifiedPath(sha256);
  if (!path) return path.fault();
  auto facts = plugin::probe(checker_, *path, kProbeMs, {settings, {}});
  if (!facts) return pathless(facts.fault(), *path);
  std::lock_guard lock(fittedMutex_);
  if (fitted_.size() >= kFittedMax) fitted_.clear();
  fitted_.insert(tried);
  return {};
}

Result<void> PluginRoom::tryState(const std::string& sha256, const plugin::Settings& settings,
                                  const group::Capture& state) {
  auto path = files_.verifiedPath(sha256);
  if (!path) return path.fault();
  std::string file = directory_ + "/state-" + std::to_string(++tried_) + kStateAside;
  Result<void> saved = saveTo(file, state);
  if (!saved) {
    ::unlink(file.c_str());
    return saved;
  }
  auto facts = plugin::probe(checker_, *path, kStateProbeMs, {settings, file});
  ::unlink(file.c_str());
  if (!facts) return pathless(facts.fault(), *path);
  return {};
}

Result<PluginSummary> PluginRoom::describe(const std::string& sha256) {
  auto found = descriptor(sha256);
  if (!found) return found.fault();
  const flotilla_descriptor& it = **found;
  capnp::MallocMessageBuilder message;
  plugin::describe(it, sha256, message.initRoot<schema::PluginDescription>());
  PluginSummary summary;
  auto root = message.getRoot<schema::PluginDescription>().asReader();
  summary.name = root.getName().cStr();
  summary.version = root.getVersion().cStr();
  summary.sha256 = sha256;
  auto bytes = files_.read(sha256);
  if (!bytes) return bytes.fault();
  summary.bytes = bytes->size();
  summary.description = capnp::messageToFlatArray(message);
  return summary;
}

}  // namespace flotilla::runtime
