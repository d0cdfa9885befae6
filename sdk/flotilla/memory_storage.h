// A storage in memory, for tests of machines on disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "flotilla/abi.h"

namespace flotilla::testing {

// Owner:  a test; outlives its machine.
// Thread: one.
// Errors: none.
class MemoryStorage {
public:
  MemoryStorage() = default;
  MemoryStorage(const MemoryStorage&) = delete;
  MemoryStorage& operator=(const MemoryStorage&) = delete;

  const flotilla_storage* storage() const { return &storage_; }

  std::map<std::string, std::string, std::less<>> rows;

private:
  struct Walk {
    MemoryStorage& from;
    std::string next;  // the least key that may follow
    std::string key;
  };

  static std::string_view viewOf(flotilla_bytes bytes) {
    return {static_cast<const char*>(bytes.start), bytes.size};
  }
  static flotilla_bytes bytesOf(const std::string& bytes) { return {bytes.data(), bytes.size()}; }
  static MemoryStorage& self(void* context) { return *static_cast<MemoryStorage*>(context); }

  static int get(void* context, flotilla_bytes key, flotilla_bytes* value) {
    auto found = self(context).rows.find(viewOf(key));
    if (found == self(context).rows.end()) return 0;
    *value = bytesOf(found->second);
    return 1;
  }
  static int set(void* context, flotilla_bytes key, flotilla_bytes value) {
    self(context).rows.insert_or_assign(std::string(viewOf(key)), std::string(viewOf(value)));
    return 0;
  }
  static int erase(void* context, flotilla_bytes key) {
    auto found = self(context).rows.find(viewOf(key));
    if (found != self(context).rows.end()) self(context).rows.erase(found);
    return 0;
  }
  static void* walk(void* context, flotilla_bytes from) {
    return new Walk{self(context), std::string(viewOf(from)), {}};
  }
  static int next(void* walk, flotilla_bytes* key, flotilla_bytes* value) {
    Walk& at = *static_cast<Walk*>(walk);
    auto found = at.from.rows.lower_bound(at.next);
    if (found == at.from.rows.end()) return 0;
    at.key = found->first;
    at.next = at.key + '\0';
    *key = bytesOf(at.key);
    *value = bytesOf(found->second);
    return 1;
  }
  static void leave(void* walk) { delete static_cast<Walk*>(walk); }

  flotilla_storage storage_{sizeof(flotilla_storage), this, get, set, erase, walk, next, leave};
};

}  // namespace flotilla::testing
