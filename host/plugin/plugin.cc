// One plugin as all of its machines see it: its descriptor, its name in texts, its methods by
// number.
#include "host/plugin/plugin.h"

#include <map>
#include <mutex>

#include "host/plugin/descriptor.h"

namespace flotilla::plugin {

RowIndex::RowIndex(const flotilla_descriptor& descriptor) {
  auto rows = methodRows(descriptor);
  for (uint32_t row = 0; row < rows.size(); ++row) {
    auto& ordinals = interfaceOf(rows[row].interfaceId);
    if (ordinals.size() <= rows[row].method) ordinals.resize(rows[row].method + size_t{1});
    bool query = rows[row].kind == FLOTILLA_QUERY;
    bool isLong = query && (flagsOf(rows[row]) & FLOTILLA_BESIDE) != 0;
    ordinals[rows[row].method] = Row{row, query, isLong};
  }
}

const RowIndex::Row* RowIndex::find(uint64_t interfaceId, uint16_t method) const {
  for (const auto& [id, ordinals] : interfaces_) {
    if (id != interfaceId) continue;
    bool known = method < ordinals.size() && ordinals[method].has_value();
    return known ? &*ordinals[method] : nullptr;
  }
  return nullptr;
}

std::vector<std::optional<RowIndex::Row>>& RowIndex::interfaceOf(uint64_t id) {
  for (auto& [one, ordinals] : interfaces_) {
    if (one == id) return ordinals;
  }
  return interfaces_.emplace_back(id, std::vector<std::optional<Row>>()).second;
}

std::shared_ptr<const Plugin> pluginOf(const flotilla_descriptor* descriptor) {
  static std::mutex mutex;
  static std::map<const flotilla_descriptor*, std::weak_ptr<const Plugin>> known;
  std::lock_guard lock(mutex);
  std::weak_ptr<const Plugin>& place = known[descriptor];
  auto plugin = place.lock();
  if (!plugin) place = plugin = std::make_shared<const Plugin>(descriptor);
  return plugin;
}

}  // namespace flotilla::plugin
