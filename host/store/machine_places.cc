// Where on-disk machines live: DIRECTORY/<group>-<replica>/<generation>/, each a LevelDB.
#include "host/store/machine_places.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "host/store/files.h"

namespace flotilla::store {
namespace {

std::optional<uint64_t> numberOf(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<group::ReplicaKey> keyOf(const std::string& name) {
  size_t dash = name.find('-');
  if (dash == std::string::npos) return std::nullopt;
  auto group = numberOf(std::string_view(name).substr(0, dash));
  auto replica = numberOf(std::string_view(name).substr(dash + 1));
  if (!group || !replica) return std::nullopt;
  return group::ReplicaKey{*group, *replica};
}

// LevelDB makes CURRENT before it has any.
Result<bool> hasData(const std::string& path) {
  if (!exists(path)) return false;
  auto names = listDirectory(path);
  if (!names) return names.fault();
  return std::any_of(names->begin(), names->end(), [](const std::string& name) {
    return name.ends_with(".log") || name.ends_with(".ldb");
  });
}

}  // namespace

MachinePlaces::MachinePlaces(std::string directory, size_t cacheBytes)
    : directory_(std::move(directory)), shared_(std::make_shared<MachineShared>(cacheBytes)) {}

Result<void> MachinePlaces::open() {
  return makeDirectories(directory_);
}

Result<std::vector<uint64_t>> MachinePlaces::generations(group::ReplicaKey replica) {
  std::vector<uint64_t> found;
  if (!exists(pathOf(replica))) return found;
  auto names = listDirectory(pathOf(replica));
  if (!names) return names.fault();
  for (const std::string& name : *names) {
    if (auto number = numberOf(name)) found.push_back(*number);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::shared_ptr<group::MachineStore>> MachinePlaces::make(group::ReplicaKey replica,
                                                                 uint64_t generation) {
  std::string path = pathOf(replica, generation);
  if (auto removed = removeTree(path); !removed) return removed.fault();
  if (auto made = makeDirectories(path); !made) return made.fault();
  auto keys = MachineKeys::open(path, shared_, MachineKeys::Begin::fresh);
  if (!keys) return keys.fault();
  return std::make_shared<group::MachineStore>(std::move(*keys));
}

Result<std::shared_ptr<group::MachineStore>> MachinePlaces::find(group::ReplicaKey replica,
                                                                 uint64_t generation) {
  std::string path = pathOf(replica, generation);
  if (!exists(path + "/CURRENT")) {
    auto begun = hasData(path);
    if (!begun) return begun.fault();
    if (*begun) return Fault{ErrorCode::corrupt, "machine " + path + ": CURRENT is missing", {}};
    return Fault{ErrorCode::unavailable, "machine " + path + ": was never finished", {}};
  }
  auto keys = MachineKeys::open(path, shared_, MachineKeys::Begin::existing);
  if (!keys) return keys.fault();
  return std::make_shared<group::MachineStore>(std::move(*keys));
}

Result<void> MachinePlaces::remove(group::ReplicaKey replica, uint64_t generation) {
  return removeTree(pathOf(replica, generation));
}

Result<void> MachinePlaces::removeBelow(group::ReplicaKey replica, uint64_t limit) {
  auto found = generations(replica);
  if (!found) return found.fault();
  for (uint64_t generation : *found) {
    if (generation >= limit) break;
    if (auto removed = remove(replica, generation); !removed) return removed;
  }
  return {};
}

Result<void> MachinePlaces::removeReplica(group::ReplicaKey replica) {
  return removeTree(pathOf(replica));
}

Result<std::vector<group::ReplicaKey>> MachinePlaces::replicas() {
  auto names = listDirectory(directory_);
  if (!names) return names.fault();
  std::vector<group::ReplicaKey> keys;
  for (const std::string& name : *names) {
    if (auto key = keyOf(name)) keys.push_back(*key);
  }
  return keys;
}

std::string MachinePlaces::pathOf(group::ReplicaKey replica) const {
  return directory_ + "/" + std::to_string(replica.group) + "-" + std::to_string(replica.replica);
}

std::string MachinePlaces::pathOf(group::ReplicaKey replica, uint64_t generation) const {
  return pathOf(replica) + "/" + std::to_string(generation);
}
}  // namespace flotilla::store
