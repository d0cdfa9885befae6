// How a host stops: leaderships handed over, snapshots saved, machines brought home.
#include <algorithm>

#include "host/base/log.h"
#include "host/runtime/host.h"
#include "host/runtime/host_parts.h"
#include "host/runtime/machine_lane.h"

namespace flotilla::runtime {
namespace {

// Together below the ten seconds that a stop may take.
constexpr int64_t kHandOverUs = 2'500'000;
constexpr int64_t kSnapshotsUs = 4'000'000;
constexpr int64_t kMachinesUs = 2'000'000;
constexpr int64_t kQueriesUs = 1'000'000;
constexpr auto kLook = 20 * kj::MILLISECONDS;

}  // namespace

void Host::stop() {
  HostParts& p = *parts_;
  if (p.stopping) return;
  p.stopping = true;
  base::logInfo("host " + std::to_string(id()) + ": stops");
  KJ_IF_MAYBE (listener, p.listener) {
    (*listener)->stopAccepting();
  }
  p.tasks.add(handOver(p.clock.monotonicUs() + kHandOverUs)
                  .then([this]() { return saveSnapshots(); })
                  .then([this]() { finishStop(); }));
}

// Until nobody else could lead, or time is up.
kj::Promise<void> Host::handOver(int64_t deadlineUs) {
  bool leading = false;
  for (const auto& [group, replica] : parts_->replicas.all()) {
    if (replica->broken() || !replica->group().leads()) continue;
    group::Status status = replica->group().status();
    bool alone = status.configuration.voters.size() < 2;
    bool anyUp = std::any_of(status.configuration.voters.begin(), status.configuration.voters.end(),
                             [&](uint64_t voter) {
                               uint64_t host = replica->record().hostOf(voter);
                               return host != id() && hostUp(host);
                             });
    if (alone || !anyUp) continue;
    leading = true;
    replica->group().transfer(0);
    replica->touch();
  }
  if (!leading || parts_->clock.monotonicUs() >= deadlineUs) return kj::READY_NOW;
  return parts_->timer.afterDelay(10 * kLook).then([this, deadlineUs]() {
    return handOver(deadlineUs);
  });
}

kj::Promise<void> Host::saveSnapshots() {
  parts_->savePace.hurry.store(true);
  kj::Vector<kj::Promise<void>> saves;
  for (const auto& [group, replica] : parts_->replicas.all()) {
    if (replica->broken() || replica->machineState() != MachineState::running) continue;
    group::Status status = replica->status();
    if (status.applied <= status.durable.value_or(status.snapshotIndex)) continue;
    auto save = status.durable ? syncNow(*replica) : snapshotNow(*replica);
    saves.add(
        save.ignoreResult().catch_([name = replica->record().name](kj::Exception&& exception) {
          base::logWarn("group " + name +
                        ": not saved at the stop: " + exception.getDescription().cStr());
        }));
  }
  auto late = parts_->timer.afterDelay(kSnapshotsUs * kj::MICROSECONDS).then([]() {
    base::logWarn("host: some snapshots were not saved in time; the logs have it all");
  });
  return kj::joinPromises(saves.releaseAsArray()).exclusiveJoin(kj::mv(late));
}

// False where a machine has not come back from what it was asked.
bool Host::endThreads() {
  HostParts& p = *parts_;
  for (const auto& [group, replica] : p.replicas.all()) {
    if (replica->broken()) continue;
    replica->group().stop();
    replica->lane().close();
    if (replica->machineState() == MachineState::stuck ||
        replica->machineState() == MachineState::slow) {
      base::logError("group " + replica->record().name +
                     ": its machine has not returned; it is left behind");
    }
  }
  KJ_IF_MAYBE (listener, p.listener) {
    (*listener)->closeAll();
  }
  bool home = p.pool.stop(kMachinesUs);
  // Nobody waits for a query's answer any more.
  bool quiet = p.queries.stop(kQueriesUs);
  p.leftThreads = !home || !quiet;
  p.volumes.stop();
  return home;
}

bool Host::leftThreads() const {
  return parts_->leftThreads;
}

void Host::kill() {
  HostParts& p = *parts_;
  p.stopping = true;
  KJ_IF_MAYBE (listener, p.listener) {
    (*listener)->stopAccepting();
    (*listener)->closeAll();  // before anybody is answered
  }
  endThreads();
  base::logInfo("host " + std::to_string(id()) + ": killed");
  if (p.ended->isWaiting()) p.ended->fulfill(0);
}

void Host::finishStop() {
  HostParts& p = *parts_;
  bool home = endThreads();
  if (p.marks) p.marks->closeCleanly();
  base::logInfo("host " + std::to_string(id()) + ": stopped" + (home ? "" : ", but for a machine"));
  if (p.ended->isWaiting()) p.ended->fulfill(home ? 0 : 1);
}

}  // namespace flotilla::runtime
