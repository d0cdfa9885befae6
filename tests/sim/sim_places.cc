// The places of a simulated host's machines on disk: found at a start, let go of afterwards.
#include "host/group/place_search.h"
#include "tests/sim/sim_host.h"
#include "tests/sim/world.h"

namespace flotilla::sim {

// As runtime's Replica::findPlace. Here nothing is ever lost of what was synced, so where the log
// has been cut off there is one that it goes on from.
std::optional<uint64_t> SimHost::findPlace(group::ReplicaKey key, group::Recovered& recovered) {
  SimDisk::Places& places = disk_.places(key);
  if (places.empty()) return std::nullopt;
  uint64_t& generation = recovered.state.generation;
  generation = std::max(generation, places.rbegin()->first);
  group::PlaceSearch search(recovered.state.shape);
  for (auto place = places.rbegin(); place != places.rend() && !search.ended(); ++place) {
    search.look(place->first, place->second->kept.at);
  }
  bool sound = records_.at(key).soundness == group::Soundness::sound;
  if (sound && !search.ended() && recovered.state.shape.base().index != 0) {
    world_.judge.fail(nameOf(key), "starts, and its log goes on from no place of its machine");
  }
  for (uint64_t useless : search.useless()) places.erase(useless);
  return search.ended() ? search.found() : std::nullopt;
}

// As runtime's Replica::sweepPlaces.
void SimHost::sweepPlaces(const Replica& replica) {
  auto place = replica.lane->place();
  bool sound = replica.record.soundness == group::Soundness::sound &&
               replica.group->soundness() == group::Soundness::sound;
  if (!place || !sound || replica.group->generationOnDisk() < *place) return;
  forgetPlacesBelow(replica.record.key, *place);
}

void SimHost::forgetPlacesBelow(group::ReplicaKey key, uint64_t place) {
  SimDisk::Places& places = disk_.places(key);
  if (places.empty() || places.begin()->first >= place) return;
  std::erase_if(places, [place](const auto& each) { return each.first < place; });
  const Stored* safe = disk_.safe(key);
  bool kept = safe == nullptr || safe->state.shape.base().index == 0;
  for (const auto& [generation, each] : places) {
    kept = kept || group::follows(safe->state.shape, each->kept.at);
  }
  if (!kept) {
    world_.judge.fail(nameOf(key),
                      "removes the place of its machine that its log on the disk goes on from");
  }
}

}  // namespace flotilla::sim
