// One plugin as all of its machines see it: its descriptor, its name in texts, its methods by
// number.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/result.h"

namespace flotilla::plugin {

// Rows of the method table by interface and ordinal.
//
// Thread: any, once made. Errors: none.
class RowIndex {
public:
  struct Row {
    uint32_t row = 0;
    bool query = false;
    bool isLong = false;
  };

  explicit RowIndex(const flotilla_descriptor& descriptor);

  const Row* find(uint64_t interfaceId, uint16_t method) const;

private:
  std::vector<std::optional<Row>>& interfaceOf(uint64_t id);

  std::vector<std::pair<uint64_t, std::vector<std::optional<Row>>>> interfaces_;
};

// What all machines and captures of one plugin need of it.
struct Plugin {
  explicit Plugin(const flotilla_descriptor* itsDescriptor)
      : descriptor(itsDescriptor),
        name(std::string("machine ") + itsDescriptor->name + " " + itsDescriptor->version),
        rows(*itsDescriptor) {}

  Fault fault(std::string_view text) const {
    return {ErrorCode::faulted, name + ": " + std::string(text), {}};
  }

  const flotilla_descriptor* descriptor;
  std::string name;
  RowIndex rows;
};

// One for all machines of a plugin, as long as there is one.
std::shared_ptr<const Plugin> pluginOf(const flotilla_descriptor* descriptor);

}  // namespace flotilla::plugin
