// A machine's store as its plugin sees it, over the C boundary.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "host/group/machine_store.h"

namespace flotilla::plugin {

// A walk that its plugin has not left by the end of the call is ended there, and is a fault: it
// would keep the database open, and each file that it might come to.
//
// Owner:  one machine; the plugin may use it as long as that lives.
// Thread: the machine's.
// Errors: the first one is the `fault`, and from then on every call gives -1.
class PluginStorage {
public:
  explicit PluginStorage(std::shared_ptr<group::MachineStore> store);
  PluginStorage(const PluginStorage&) = delete;
  PluginStorage& operator=(const PluginStorage&) = delete;

  ~PluginStorage();

  const flotilla_storage* table() const { return &table_; }
  const std::shared_ptr<group::MachineStore>& store() const { return store_; }
  const std::optional<Fault>& fault() const { return fault_; }

  // One call of the machine. While a query is answered, or the storage opened, nothing may be
  // changed.
  //
  // Owner: a stack frame around the call. Thread: the machine's. Errors: the storage's `fault`.
  class Use {
  public:
    enum class May { read, write };
    Use(PluginStorage* storage, May may) : storage_(storage) {  // null: the machine has none
      if (storage_ != nullptr) storage_->writable_ = may == May::write;
    }
    ~Use() {
      if (storage_ != nullptr) storage_->endUse();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

  private:
    PluginStorage* storage_;
  };

private:
  struct Walk;

  template <typename Call>
  int guardedCall(Call&& call) noexcept;
  bool fits(flotilla_bytes key, flotilla_bytes value);
  void endUse();

  std::shared_ptr<group::MachineStore> store_;
  bool writable_ = false;
  std::vector<Walk*> walks_;
  std::string value_;  // last given
  std::optional<Fault> fault_;
  flotilla_storage table_;
};

}  // namespace flotilla::plugin
