// Where on-disk machines live: DIRECTORY/<group>-<replica>/<generation>/, each a LevelDB.
#include "host/store/machine_places.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <optional>
#include <thread>
#include <utility>

#include "host/store/files.h"
#include "host/store/pair_names.h"

namespace flotilla::store {
namespace {

std::optional<uint64_t> numberOf(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

constexpr std::string_view kGoing = ".going";
constexpr size_t kOpenersMax = 16;  // they wait for the disk most of the time

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

MachinePlaces::MachinePlaces(std::string directory, size_t cacheBytes, uint64_t heldBytesMax)
    : directory_(std::move(directory)),
      shared_(std::make_shared<MachineShared>(cacheBytes, heldBytesMax)) {}

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
  if (auto removed = remove(replica, generation); !removed) return removed.fault();
  if (auto made = makeDirectories(path); !made) return made.fault();
  auto keys = MachineKeys::open(path, shared_, MachineKeys::Begin::fresh);
  if (!keys) {
    static_cast<void>(remove(replica, generation));  // or each that tries again leaves one
    return keys.fault();
  }
  return std::make_shared<group::MachineStore>(std::move(*keys));
}

void MachinePlaces::openAhead(const std::vector<group::ReplicaKey>& replicas) {
  std::atomic<size_t> next{0};
  auto work = [&]() {
    for (size_t at = next++; at < replicas.size(); at = next++) {
      auto found = generations(replicas[at]);
      if (!found || found->empty()) continue;
      std::string path = pathOf(replicas[at], found->back());
      Found opened = open(path);
      std::lock_guard lock(mutex_);
      ahead_.insert_or_assign(path, std::move(opened));
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(kOpenersMax, replicas.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& each : threads) each.join();
}

void MachinePlaces::closeAhead() {
  std::map<std::string, Found> left;
  std::lock_guard lock(mutex_);
  std::swap(left, ahead_);
}

std::optional<MachinePlaces::Found> MachinePlaces::takeAhead(const std::string& path) {
  std::lock_guard lock(mutex_);
  auto node = ahead_.extract(path);
  if (node.empty()) return std::nullopt;
  return std::move(node.mapped());
}

Result<std::shared_ptr<group::MachineStore>> MachinePlaces::find(group::ReplicaKey replica,
                                                                 uint64_t generation) {
  std::string path = pathOf(replica, generation);
  auto ahead = takeAhead(path);
  return ahead ? std::move(*ahead) : open(path);
}

MachinePlaces::Found MachinePlaces::open(const std::string& path) {
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

// By its name first: what is left of one whose removal was cut off must not be taken for a damaged
// one.
Result<void> MachinePlaces::remove(group::ReplicaKey replica, uint64_t generation) {
  std::string path = pathOf(replica, generation);
  std::string going = path + std::string(kGoing);
  if (auto removed = removeTree(going); !removed) return removed;
  if (!exists(path)) return {};
  if (auto renamed = renameTo(path, going); !renamed) return renamed;
  return removeTree(going);
}

Result<void> MachinePlaces::removeBelow(group::ReplicaKey replica, uint64_t limit) {
  auto found = generations(replica);
  if (!found) return found.fault();
  for (uint64_t generation : *found) {
    if (generation >= limit) break;
    if (auto removed = remove(replica, generation); !removed) return removed;
  }
  auto names =
      exists(pathOf(replica)) ? listDirectory(pathOf(replica)) : std::vector<std::string>();
  if (!names) return names.fault();
  for (const std::string& name : *names) {
    if (!name.ends_with(kGoing)) continue;
    if (auto removed = removeTree(pathOf(replica) + "/" + name); !removed) return removed;
  }
  return {};
}

Result<void> MachinePlaces::removeReplica(group::ReplicaKey replica) {
  return removeTree(pathOf(replica));
}

Result<std::vector<group::ReplicaKey>> MachinePlaces::replicas() {
  return replicasIn(directory_);
}

std::string MachinePlaces::pathOf(group::ReplicaKey replica) const {
  return directory_ + "/" + pairName(replica.group, replica.replica);
}

std::string MachinePlaces::pathOf(group::ReplicaKey replica, uint64_t generation) const {
  return pathOf(replica) + "/" + std::to_string(generation);
}
}  // namespace flotilla::store
