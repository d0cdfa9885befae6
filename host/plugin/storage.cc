// A machine's store as its plugin sees it, over the C boundary.
#include "host/plugin/storage.h"

#include <exception>
#include <string_view>
#include <utility>

#include "host/plugin/guard.h"

namespace flotilla::plugin {
namespace {

Fault misused(const std::string& text) {
  return {ErrorCode::faulted, "storage: " + text, {}};
}

}  // namespace

// Owner: the plugin, until it leaves it. Thread: the machine's. Errors: its storage's.
struct PluginStorage::Walk {
  PluginStorage& storage;
  std::unique_ptr<group::KeyWalk> walk;
};

PluginStorage::PluginStorage(std::shared_ptr<group::MachineStore> store)
    : store_(std::move(store)),
      table_{sizeof table_,
             this,
             [](void* context, flotilla_bytes key, flotilla_bytes* value) noexcept {
               auto& self = *static_cast<PluginStorage*>(context);
               return self.guardedCall([&]() -> Result<bool> {
                 auto found = self.store_->get(viewOf(key), self.value_);
                 if (found && *found) *value = bytesOf(self.value_);
                 return found;
               });
             },
             [](void* context, flotilla_bytes key, flotilla_bytes value) noexcept {
               auto& self = *static_cast<PluginStorage*>(context);
               return self.guardedCall([&]() -> Result<bool> {
                 if (self.fits(key, value)) self.store_->set(viewOf(key), viewOf(value));
                 return false;
               });
             },
             [](void* context, flotilla_bytes key) noexcept {
               auto& self = *static_cast<PluginStorage*>(context);
               return self.guardedCall([&]() -> Result<bool> {
                 if (self.fits(key, {})) self.store_->erase(viewOf(key));
                 return false;
               });
             },
             [](void* context, flotilla_bytes from) noexcept -> void* {
               auto& self = *static_cast<PluginStorage*>(context);
               Walk* made = nullptr;
               self.guardedCall([&]() -> Result<bool> {
                 made = new Walk{self, self.store_->walk(viewOf(from))};
                 self.walks_.push_back(made);
                 return false;
               });
               return made;
             },
             [](void* walk, flotilla_bytes* key, flotilla_bytes* value) noexcept {
               auto& at = *static_cast<Walk*>(walk);
               return at.storage.guardedCall([&]() -> Result<bool> {
                 if (at.walk == nullptr) return misused("a walk goes on after its call");
                 std::string_view itsKey;
                 std::string_view itsValue;
                 auto more = at.walk->next(itsKey, itsValue);
                 *key = bytesOf(itsKey);
                 *value = bytesOf(itsValue);
                 return more;
               });
             },
             [](void* walk) noexcept {
               auto* left = static_cast<Walk*>(walk);
               std::erase(left->storage.walks_, left);
               delete left;
             }} {}

PluginStorage::~PluginStorage() {
  for (Walk* each : walks_) delete each;
}

void PluginStorage::endUse() {
  writable_ = false;
  for (Walk* each : walks_) each->walk.reset();
  if (walks_.empty() || fault_) return;
  fault_ = misused("a walk was begun and not left; leave each before the call returns");
}

template <typename Call>
int PluginStorage::guardedCall(Call&& call) noexcept {
  if (fault_) return -1;
  try {
    Result<bool> done = call();
    if (!done) fault_ = group::advised(done.fault());
    if (!fault_) return *done ? 1 : 0;
  } catch (const std::exception& exception) {
    fault_ = misused(exception.what());
  }
  return -1;
}

bool PluginStorage::fits(flotilla_bytes key, flotilla_bytes value) {
  if (!writable_) {
    fault_ = misused("changed while a query was answered, or opened; only commands change it");
  } else if (key.size > FLOTILLA_STORAGE_KEY_MAX || value.size > FLOTILLA_STORAGE_VALUE_MAX) {
    fault_ = misused("a key of " + std::to_string(key.size) + " and a value of " +
                     std::to_string(value.size) + " bytes; at most " +
                     std::to_string(FLOTILLA_STORAGE_KEY_MAX) + " and " +
                     std::to_string(FLOTILLA_STORAGE_VALUE_MAX) + " are kept");
  }
  return !fault_;
}

}  // namespace flotilla::plugin
