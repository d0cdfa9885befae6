// Which hosts get a new group's replicas.
#include "host/catalog/placement.h"

#include <algorithm>
#include <tuple>

namespace flotilla::catalog {
namespace {

constexpr uint32_t kReplicasUsual = 3;

Fault refuse(const SpecRecord& spec, const std::string& text) {
  return Fault{ErrorCode::badRequest, "group " + spec.name + ": " + text, ""};
}

// Those with the fewest replicas, learners' hosts left out.
std::vector<uint64_t> leastLoaded(const SpecRecord& spec, size_t count,
                                  const std::map<uint64_t, HostLoad>& hosts) {
  std::vector<std::tuple<uint32_t, uint32_t, uint64_t>> order;
  for (const auto& [id, load] : hosts) {
    if (std::binary_search(spec.learners.begin(), spec.learners.end(), id)) continue;
    order.emplace_back(load.replicas, load.leaders, id);
  }
  std::sort(order.begin(), order.end());
  if (order.size() > count) order.resize(count);
  std::vector<uint64_t> chosen;
  for (const auto& [replicas, leaders, id] : order) chosen.push_back(id);
  return chosen;
}

}  // namespace

Result<std::vector<ReplicaRecord>> place(const SpecRecord& spec,
                                         const std::map<uint64_t, HostLoad>& hosts) {
  for (const auto* named : {&spec.on, &spec.learners}) {
    for (uint64_t id : *named) {
      if (hosts.count(id) > 0) continue;
      std::string known;
      for (const auto& [host, load] : hosts) known += " " + std::to_string(host);
      return refuse(spec, "host " + std::to_string(id) + " is not known; there are" +
                              (known.empty() ? " none yet" : known));
    }
  }
  std::vector<uint64_t> voters = spec.on;
  if (voters.empty()) {
    size_t room = hosts.size() - spec.learners.size();
    size_t count = spec.replicas != 0 ? spec.replicas : std::min<size_t>(kReplicasUsual, room);
    if (count == 0 || count > room) {
      return refuse(spec, std::to_string(std::max<size_t>(count, 1)) + " voters, but " +
                              std::to_string(room) + " hosts for them; ask for fewer replicas");
    }
    voters = leastLoaded(spec, count, hosts);
  }
  auto leadsLess = [&hosts](uint64_t left, uint64_t right) {
    return std::tuple(hosts.at(left).leaders, left) < std::tuple(hosts.at(right).leaders, right);
  };
  std::iter_swap(voters.begin(), std::min_element(voters.begin(), voters.end(), leadsLess));
  std::sort(voters.begin() + 1, voters.end());

  std::vector<ReplicaRecord> replicas;
  for (bool voter : {true, false}) {
    for (uint64_t host : voter ? voters : spec.learners) {
      replicas.push_back({.id = replicas.size() + 1,
                          .host = host,
                          .voter = voter,
                          .initial = true,
                          .phase = ReplicaPhase::wanted});
    }
  }
  return replicas;
}

}  // namespace flotilla::catalog
