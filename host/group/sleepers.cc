// The sleeping groups of one host.
#include "host/group/sleepers.h"

#include <algorithm>
#include <utility>

namespace flotilla::group {
namespace {

// The message that sends a group to sleep and the beat that speaks of it go separate ways, so one
// beat may be early. What stays strange is not gone into at each beat.
constexpr uint32_t kStrangeBeats = 2;
constexpr uint32_t kStrangeAgainBeats = 40;

uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

bool names(const std::vector<uint64_t>& hosts, uint64_t host) {
  return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
}

}  // namespace

uint64_t firstToStand(uint64_t group, const std::vector<uint64_t>& hosts) {
  uint64_t first = 0;
  uint64_t best = 0;
  for (uint64_t host : hosts) {
    uint64_t drawn = mixed(mixed(group + 0x9e3779b97f4a7c15ULL) + host);
    if (first != 0 && drawn <= best) continue;
    first = host;
    best = drawn;
  }
  return first;
}

uint64_t Sleepers::markOf(uint64_t group, const Sleeper& sleeper) {
  uint64_t mark = mixed(group + 0x9e3779b97f4a7c15ULL);
  for (uint64_t part : {sleeper.incarnation, sleeper.term, sleeper.last.index, sleeper.last.term}) {
    mark = mixed(mark + part);
  }
  return mark;
}

void Sleepers::count(uint64_t group, const Sleeper& sleeper, bool in) {
  uint64_t mark = markOf(group, sleeper);
  uint64_t change = in ? mark : 0 - mark;
  if (sleeper.leader != self_) {
    Peer& leader = peers_[sleeper.leader];
    // Its silence counts from when it begins to matter.
    if (in && leader.followed == 0) leader.silence = leader.strange = 0;
    leader.followed += change;
  }
  for (uint64_t host : sleeper.along) peers_[host].led += change;
}

void Sleepers::sleeps(uint64_t group, Sleeper sleeper) {
  // Said again after every input: what is asked of a sleeper must put off neither the silence that
  // is being counted nor the wake that is due.
  auto found = sleepers_.find(group);
  if (found != sleepers_.end() && found->second == sleeper) return;
  woke(group);
  count(group, sleeper, true);
  sleepers_.insert_or_assign(group, std::move(sleeper));
}

void Sleepers::woke(uint64_t group) {
  toWake_.erase(group);
  auto found = sleepers_.find(group);
  if (found == sleepers_.end()) return;
  count(group, found->second, false);
  sleepers_.erase(found);
}

uint64_t Sleepers::digestFor(uint64_t host) const {
  auto peer = peers_.find(host);
  return peer == peers_.end() ? 0 : peer->second.led;
}

void Sleepers::heard(uint64_t host, Beat beat) {
  Peer& peer = peers_[host];
  peer.silence = 0;
  if (std::exchange(peer.boot, beat.boot) != beat.boot) {
    // Another process: it knows of no sleep, ours under its lead or its own under ours.
    wakeFollowersOf(host, true);
    wakeLedFor(host, true);
  }
  peer.strange = beat.digest == peer.followed ? 0 : peer.strange + 1;
  if (peer.strange < kStrangeBeats) return;
  if ((peer.strange - kStrangeBeats) % kStrangeAgainBeats == 0) wakeFollowersOf(host, false);
}

void Sleepers::gone(uint64_t host) {
  wakeFollowersOf(host, true);
}

void Sleepers::back(uint64_t host) {
  wakeLedFor(host, false);
}

std::vector<Woken> Sleepers::tick() {
  for (auto& [host, peer] : peers_) {
    if (peer.followed != 0 && ++peer.silence == kSilentTicks) wakeFollowersOf(host, true);
  }
  std::vector<Woken> now;
  while (!toWake_.empty() && now.size() < kWakesMax) {
    now.push_back({toWake_.begin()->first, toWake_.begin()->second});
    toWake_.erase(toWake_.begin());
  }
  return now;
}

void Sleepers::wakeFollowersOf(uint64_t host, bool gone) {
  for (const auto& [group, sleeper] : sleepers_) {
    if (sleeper.leader == host) toWake_[group] |= gone;
  }
}

// Those with a member there that was silent when they fell asleep, or any.
void Sleepers::wakeLedFor(uint64_t host, bool all) {
  for (const auto& [group, sleeper] : sleepers_) {
    bool misses = names(sleeper.awaiting, host) || (all && names(sleeper.along, host));
    if (misses) toWake_.emplace(group, false);
  }
}

}  // namespace flotilla::group
