// A snapshot on its way to a simulated host.
#include "tests/sim/sim_arrival.h"

#include <map>

#include "host/group/snapshot_collector.h"
#include "tests/support/memory_file.h"

namespace flotilla::sim {
namespace {

constexpr size_t kAskedMax = 3;  // files here are small

// As store::ChunkShelf: what finished files and parts of others have, where its sum holds.
struct Donors final : group::ChunkDonors {
  std::map<base::ContentName, std::pair<group::ChunkHead, std::string>> chunks;

  void add(const std::string& file) {
    auto found = group::listChunks(test::readerOf(file));
    for (const group::ChunkAt& each : *found) {
      std::string stored = file.substr(each.offset, each.head.stored);
      if (group::sumHolds(each.head, stored)) chunks[each.head.name] = {each.head, stored};
    }
  }
  bool has(const base::ContentName& name) override { return chunks.count(name) != 0; }
  bool take(const base::ContentName& name, group::ChunkHead& head, std::string& stored) override {
    auto found = chunks.find(name);
    if (found == chunks.end()) return false;
    head = found->second.first;
    stored = found->second.second;
    return true;
  }
};

}  // namespace

ArrivalEnd arrive(SimDisk& disk, group::ReplicaKey replica, const SimDisk::File& file,
                  const ArrivalRisks& risks, base::Prng& dice, Report& report) {
  SimDisk::Part& part = disk.part(replica);
  Donors donors;
  for (const auto& [index, whole] : disk.shelf(replica)) donors.add(*whole.bytes);
  if (part.point != file.point) {
    donors.add(part.bytes);
    part = {file.point, {}};
  }
  test::MemoryPart sink(part.bytes);
  group::SnapshotCollector collector(sink, donors, {replica.group, file.point});
  auto end = [&](ArrivalEnd how) {
    report[Count::chunksKept] += collector.counts().kept;
    report[Count::chunksCopied] += collector.counts().copied;
    if (how != ArrivalEnd::whole) ++report[Count::arrivalsBroken];
    return how;
  };
  if (!collector.begin(test::readerOf(part.bytes))) return end(ArrivalEnd::refused);
  auto chunks = group::listChunks(test::readerOf(*file.bytes));
  for (size_t at = 0; at < chunks->size(); at += kAskedMax) {
    size_t asked = std::min(kAskedMax, chunks->size() - at);
    std::string heads;
    for (size_t i = at; i < at + asked; ++i) heads += group::viewOf((*chunks)[i].head);
    auto wanted = collector.ask(heads);
    if (!wanted) return end(ArrivalEnd::refused);
    for (size_t i = at; i < at + asked; ++i) {
      if ((*wanted)[i - at] == 0) continue;
      if (dice.chance(risks.breaks)) return end(ArrivalEnd::broke);
      const group::ChunkAt& chunk = (*chunks)[i];
      std::string stored = file.bytes->substr(chunk.offset, chunk.head.stored);
      bool damaged = !stored.empty() && dice.chance(risks.damages);
      if (damaged) {
        ++report[Count::chunksDamaged];
        char& byte = stored[dice.below(stored.size())];
        byte = static_cast<char>(byte ^ 1 << dice.below(8));
      }
      auto given = collector.give(stored);
      if (!given) {
        bool again = given.fault().code == ErrorCode::unavailable;
        return end(again ? ArrivalEnd::broke : ArrivalEnd::refused);
      }
    }
  }
  return end(collector.done() ? ArrivalEnd::whole : ArrivalEnd::refused);
}

}  // namespace flotilla::sim
