// What a machine on disk keeps, kept in memory: for checks, tests and simulated disks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "flotilla/result.h"
#include "host/group/ports.h"

namespace flotilla::group {

// A place as it would lie on disk. It may outlive whoever writes to it, as a disk does.
struct MemoryPlace {
  std::map<std::string, std::string, std::less<>> rows;
  Kept kept;
};

// Owner:  MachineStore; shares the place.
// Thread: one at a time; what `hold` gives is a copy.
// Errors: those that `refuses` gives, before anything is written.
class MemoryKeys final : public KeptKeys {
public:
  explicit MemoryKeys(std::shared_ptr<MemoryPlace> place,
                      std::function<Result<void>()> refuses = {})
      : place_(std::move(place)), refuses_(std::move(refuses)) {}

  const Kept& kept() const override { return place_->kept; }
  Result<bool> get(std::string_view key, std::string& value) override;
  std::unique_ptr<KeyWalk> walk(std::string_view from) override;
  std::shared_ptr<const HeldKeys> hold() override;
  Result<void> write(const KeyChanges& changes, Kept kept) override;
  uint64_t memoryBytes() const override { return 0; }

private:
  std::shared_ptr<MemoryPlace> place_;
  std::function<Result<void>()> refuses_;
};

// The whole store of a machine that is only tried out.
Result<void> openInMemory(Machine& machine);

}  // namespace flotilla::group
