// What a machine on disk keeps, kept in memory: for checks, tests and simulated disks.
#include "host/group/memory_keys.h"

#include "host/group/machine_store.h"

namespace flotilla::group {
namespace {

using Rows = std::map<std::string, std::string, std::less<>>;

// Owner: whoever walks; the rows outlive it and stay as they are.
// Thread: one. Errors: none.
class RowsWalk final : public KeyWalk {
public:
  RowsWalk(std::shared_ptr<const Rows> held, const Rows& rows, std::string_view from)
      : held_(std::move(held)), rows_(rows), at_(rows.lower_bound(from)) {}

  Result<bool> next(std::string_view& key, std::string_view& value) override {
    if (at_ == rows_.end()) return false;
    key = at_->first;
    value = at_->second;
    ++at_;
    return true;
  }

private:
  std::shared_ptr<const Rows> held_;
  const Rows& rows_;
  Rows::const_iterator at_;
};

// Thread: any. Errors: none.
class HeldRows final : public HeldKeys {
public:
  explicit HeldRows(const Rows& rows) : rows_(std::make_shared<const Rows>(rows)) {}
  std::unique_ptr<KeyWalk> walk(std::string_view from) const override {
    return std::make_unique<RowsWalk>(rows_, *rows_, from);
  }

private:
  std::shared_ptr<const Rows> rows_;
};

}  // namespace

Result<bool> MemoryKeys::get(std::string_view key, std::string& value) {
  auto found = place_->rows.find(key);
  if (found == place_->rows.end()) return false;
  value = found->second;
  return true;
}

std::unique_ptr<KeyWalk> MemoryKeys::walk(std::string_view from) {
  return std::make_unique<RowsWalk>(nullptr, place_->rows, from);
}

std::shared_ptr<const HeldKeys> MemoryKeys::hold() {
  return std::make_shared<HeldRows>(place_->rows);
}

Result<void> MemoryKeys::write(const KeyChanges& changes, Kept kept) {
  if (refuses_) {
    if (auto refused = refuses_(); !refused) return refused;
  }
  for (const auto& [key, value] : changes) {
    if (value) {
      place_->rows[key] = *value;
    } else {
      place_->rows.erase(key);
    }
  }
  place_->kept = std::move(kept);
  return {};
}

Result<void> openInMemory(Machine& machine) {
  if (!machine.onDisk()) return {};
  auto keys = std::make_unique<MemoryKeys>(std::make_shared<MemoryPlace>());
  return machine.open(std::make_shared<MachineStore>(std::move(keys)));
}

}  // namespace flotilla::group
