// A map whose copies share what they have in common.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace flotilla::catalog {

// Hashed into buckets, each an ordered map that copies share until one of them changes it: a change
// copies at most one bucket and the row of pointers, whatever the size of the whole, and leaves
// every other copy as it was.
//
// Thread: copies are independent of one another; one copy is one thread's at a time.
// Errors: none.
template <typename Key, typename Value>
class SharedMap {
public:
  // Nothing where `key` is not there. Dies with the next change of this copy.
  template <typename Like>
  const Value* find(const Like& key) const {
    const Bucket* bucket = bucketOf(key);
    if (bucket == nullptr) return nullptr;
    auto at = bucket->find(key);
    return at == bucket->end() ? nullptr : &at->second;
  }

  void set(const Key& key, Value value) {
    if (changed(key).insert_or_assign(key, std::move(value)).second) ++size_;
  }

  void erase(const Key& key) {
    if (find(key) == nullptr) return;
    changed(key).erase(key);
    --size_;
  }

  size_t size() const { return size_; }

  // visit(key, value) for each, in no order that means anything.
  template <typename Visit>
  void forEach(Visit visit) const {
    if (!row_) return;
    for (const auto& bucket : *row_) {
      if (!bucket) continue;
      for (const auto& [key, value] : *bucket) visit(key, value);
    }
  }

private:
  static constexpr size_t kBuckets = 256;
  using Bucket = std::map<Key, Value, std::less<>>;
  using Row = std::array<std::shared_ptr<Bucket>, kBuckets>;

  // std::hash of a string and of a view of it are equal; of an id it is the id.
  template <typename Like>
  static size_t placeOf(const Like& key) {
    return std::hash<Like>{}(key) % kBuckets;
  }

  template <typename Like>
  const Bucket* bucketOf(const Like& key) const {
    return row_ ? (*row_)[placeOf(key)].get() : nullptr;
  }

  // Nobody else holds it, and what others read of it they read before they let go.
  template <typename Held>
  static bool alone(const std::shared_ptr<Held>& held) {
    if (held.use_count() != 1) return false;
    std::atomic_thread_fence(std::memory_order_acquire);
    return true;
  }

  // A bucket of this copy alone, in a row of this copy alone. What nobody else holds is changed in
  // place: a thousand changes between two copies copy each bucket once.
  Bucket& changed(const Key& key) {
    if (!row_) {
      row_ = std::make_shared<Row>();
    } else if (!alone(row_)) {
      row_ = std::make_shared<Row>(*row_);
    }
    std::shared_ptr<Bucket>& bucket = (*row_)[placeOf(key)];
    if (!bucket) {
      bucket = std::make_shared<Bucket>();
    } else if (!alone(bucket)) {
      bucket = std::make_shared<Bucket>(*bucket);
    }
    return *bucket;
  }

  std::shared_ptr<Row> row_;
  size_t size_ = 0;
};

}  // namespace flotilla::catalog
