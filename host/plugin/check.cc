// Tries a plugin out.
#include "host/plugin/check.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include "host/group/memory_keys.h"
#include "host/plugin/descriptor.h"
#include "host/plugin/library.h"
#include "host/plugin/machine.h"

namespace flotilla::plugin {
namespace {

// A snapshot in memory, written and read.
class Memory final : public group::SnapshotSink, public group::SnapshotSource {
public:
  Result<void> write(std::string_view piece) override {
    bytes_.append(piece);
    return {};
  }
  Result<size_t> read(char* to, size_t size) override {
    size_t part = std::min(size, bytes_.size() - next_);
    std::memcpy(to, bytes_.data() + next_, part);
    next_ += part;
    return part;
  }

private:
  std::string bytes_;
  size_t next_ = 0;
};

// One that was saved by another process.
class StateFile final : public group::SnapshotSource {
public:
  explicit StateFile(const std::string& path) : in_(path, std::ios::binary) {}
  Result<size_t> read(char* to, size_t size) override {
    if (!in_.is_open()) return Fault{ErrorCode::io, "the saved state cannot be read", {}};
    in_.read(to, static_cast<std::streamsize>(size));
    return static_cast<size_t>(in_.gcount());
  }

private:
  std::ifstream in_;
};

// Nothing in it needs escaping: names and version have passed checkDescriptor.
std::string jsonOf(const flotilla_descriptor& d) {
  std::string json = std::string("{\"name\":\"") + d.name + "\",\"version\":\"" + d.version +
                     "\",\"interfaceId\":\"" + std::to_string(d.interfaceId) +
                     "\",\"stateVersion\":" + std::to_string(d.stateVersion) + ",\"methods\":[";
  bool first = true;
  for (const flotilla_method& row : methodRows(d)) {
    if (!first) json += ",";
    first = false;
    json += "{\"interfaceId\":\"" + std::to_string(row.interfaceId) +
            "\",\"method\":" + std::to_string(row.method) + ",\"name\":\"" + row.name +
            "\",\"kind\":\"" + (row.kind == FLOTILLA_QUERY ? "query" : "command") + "\"}";
  }
  return json + "]}";
}

Fault prefixed(const std::string& file, const Fault& fault) {
  return {ErrorCode::badRequest, "plugin " + file + ": " + fault.text, {}};
}

Result<void> tryMachine(const std::string& file, const flotilla_descriptor* descriptor,
                        const Trial& trial, const std::function<void(const std::string&)>& stage) {
  stage("its machine was made");
  const Settings given = trial.settings.value_or(Settings{});
  auto machine = makeMachine(descriptor, given, nullptr, {});
  // A machine may need settings, which a check cannot know; an author's own error is no reason.
  bool wantsSettings =
      !trial.settings && !machine && machine.fault().text.find("badConfig: ") != std::string::npos;
  if (wantsSettings) return {};
  if (!machine) return prefixed(file, machine.fault());
  if (auto opened = group::openInMemory(**machine); !opened) return prefixed(file, opened.fault());
  if (!trial.stateFile.empty()) {
    stage("its machine loaded what the one before has saved");
    StateFile state(trial.stateFile);
    Result<void> migrated = (*machine)->load(state);
    if (!migrated) return prefixed(file, migrated.fault());
  }
  if (freezeOf(*descriptor) != nullptr) {
    stage("its machine was frozen");
    if (auto frozen = (*machine)->freeze(); !frozen) return prefixed(file, frozen.fault());
  }
  stage("its machine was captured and saved");
  auto capture = (*machine)->capture();
  if (!capture) return prefixed(file, capture.fault());
  Memory memory;
  Result<void> saved = (*capture)->save(memory);
  if (!saved) return prefixed(file, saved.fault());
  stage("its machine was loaded from a snapshot");
  auto twin = makeMachine(descriptor, given, nullptr, {});
  if (!twin) return prefixed(file, twin.fault());
  if (auto opened = group::openInMemory(**twin); !opened) return prefixed(file, opened.fault());
  Result<void> loaded = (*twin)->load(memory);
  if (!loaded) {
    Fault fault = prefixed(file, loaded.fault());
    fault.text += "; load must read what save wrote";
    return fault;
  }
  if ((*machine)->digest() != (*twin)->digest()) {
    return Fault{ErrorCode::badRequest,
                 "plugin " + file +
                     ": a machine and its copy through a snapshot have other digests; "
                     "does load restore all that save wrote?",
                 {}};
  }
  stage("its machines were destroyed");
  return {};
}

}  // namespace

Result<std::string> checkHere(const std::string& file, const Trial& trial,
                              const std::function<void(const std::string&)>& stage) {
  stage("it was loaded");
  Result<Library> library = Library::open(file);
  if (!library) return library.fault();
  Result<void> tried = tryMachine(file, library->descriptor(), trial, stage);
  if (!tried) return tried.fault();
  return jsonOf(*library->descriptor());
}

}  // namespace flotilla::plugin
