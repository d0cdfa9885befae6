// A machine's store as its plugin sees it, over the C boundary.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "host/group/machine_store.h"

namespace flotilla::plugin {

// Owner:  one machine; the plugin may use it as long as that lives.
// Thread: the machine's.
// Errors: the first one is the `fault`, and from then on every call gives -1.
class PluginStorage {
public:
  explicit PluginStorage(std::shared_ptr<group::MachineStore> store);
  PluginStorage(const PluginStorage&) = delete;
  PluginStorage& operator=(const PluginStorage&) = delete;

  const flotilla_storage* table() const { return &table_; }
  const std::shared_ptr<group::MachineStore>& store() const { return store_; }
  // While a query is answered, or the storage opened, nothing may be changed.
  void setWritable(bool writable) { writable_ = writable; }
  const std::optional<Fault>& fault() const { return fault_; }

private:
  struct Walk;

  template <typename Call>
  int guardedCall(Call&& call) noexcept;
  bool fits(flotilla_bytes key, flotilla_bytes value);

  std::shared_ptr<group::MachineStore> store_;
  bool writable_ = false;
  std::string value_;  // last given
  std::optional<Fault> fault_;
  flotilla_storage table_;
};

}  // namespace flotilla::plugin
