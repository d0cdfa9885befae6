// The ordered tree beneath Table: a B+tree whose nodes captures share.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>

#include "flotilla/stored.h"

namespace flotilla {

// Keys in order, each with a slot. A copy of the tree is one more reference to its root. Nodes that
// nobody else holds are changed in place; the others are copied on the way down to a change, so a
// copy costs nothing until the original changes, and then only along the paths that do.
//
// All leaves are equally deep. Nodes split when full and merge with a neighbour when sparse, but
// only where the two leave room: a few sparse nodes are cheaper than moving entries to and fro.
//
// Owner:  Table and its captures.
// Thread: a tree belongs to one thread; trees that share nodes may be on several, for the counts
// are
//         atomic and shared nodes are never written to.
// Errors: throws std::length_error beyond kDepthMax levels, which 2^60 entries do not reach.
template <typename K, typename Slot>
class OrderedTree {
  struct Node;
  struct Leaf;
  struct Inner;

public:
  using View = typename Stored<K>::View;
  static constexpr uint32_t kCountMax = 32;  // entries a leaf, children an inner node
  static constexpr uint32_t kSparse = kCountMax / 4;
  static constexpr uint32_t kMergedMax = kCountMax * 3 / 4;
  static constexpr size_t kDepthMax = 24;

  OrderedTree() = default;
  OrderedTree(const OrderedTree& other) : root_(other.root_), size_(other.size_) {
    ++other.shape_;  // its nodes are no longer its own
    if (root_ != nullptr) retain(root_);
  }
  OrderedTree(OrderedTree&& other) noexcept
      : root_(std::exchange(other.root_, nullptr)), size_(std::exchange(other.size_, 0)) {
    ++other.shape_;
  }
  OrderedTree& operator=(OrderedTree other) noexcept {
    std::swap(root_, other.root_);
    std::swap(size_, other.size_);
    ++shape_;
    return *this;
  }
  ~OrderedTree() {
    if (root_ != nullptr) release(root_);
  }

  size_t size() const { return size_; }

  const Slot* find(View key) const {
    const Node* node = root_;
    if (node == nullptr) return nullptr;
    while (!node->leaf) {
      const auto* inner = static_cast<const Inner*>(node);
      node = inner->children[childOf(*inner, key)];
    }
    const auto* leaf = static_cast<const Leaf*>(node);
    uint32_t at = lowerBound(*leaf, key);
    return at < leaf->count && leaf->keys[at] == key ? &leaf->slots[at] : nullptr;
  }

  // The key's slot, made where it is missing, to be written to before the next call of the tree.
  struct Place {
    Slot* slot;
    bool made;
  };
  Place own(View key) {
    if (root_ == nullptr) root_ = new Leaf;
    makeExclusive(root_);
    if (!root_->leaf && root_->count == kCountMax) splitRoot(key);
    Inner* parent = nullptr;
    uint32_t place = 0;
    Node* node = root_;
    while (!node->leaf) {
      auto* inner = static_cast<Inner*>(node);
      uint32_t at = childOf(*inner, key);
      makeExclusive(inner->children[at]);
      Node* child = inner->children[at];
      if (!child->leaf && child->count == kCountMax) {
        splitChild(*inner, at, key);
        if (!(key < inner->keys[at + 1])) ++at;
      }
      parent = inner;
      place = at;
      node = inner->children[at];
    }
    auto* leaf = static_cast<Leaf*>(node);
    uint32_t at = lowerBound(*leaf, key);
    if (at < leaf->count && leaf->keys[at] == key) return {&leaf->slots[at], false};
    if (leaf->count < kCountMax) return insert(*leaf, at, key);
    if (parent == nullptr) {
      parent = splitRoot(key);
    } else {
      splitChild(*parent, place, key);
    }
    if (!(key < parent->keys[place + 1])) ++place;
    leaf = static_cast<Leaf*>(parent->children[place]);
    return insert(*leaf, lowerBound(*leaf, key), key);
  }

  // Takes the key out; nothing where it is not there.
  std::optional<Slot> erase(View key) {
    if (find(key) == nullptr) return std::nullopt;
    ++shape_;
    std::array<std::pair<Inner*, uint32_t>, kDepthMax> path;
    size_t depth = 0;
    makeExclusive(root_);
    Node* node = root_;
    while (!node->leaf) {
      auto* inner = static_cast<Inner*>(node);
      uint32_t at = childOf(*inner, key);
      makeExclusive(inner->children[at]);
      path[checkedDepth(depth++)] = {inner, at};
      node = inner->children[at];
    }
    auto* leaf = static_cast<Leaf*>(node);
    uint32_t at = lowerBound(*leaf, key);
    std::optional<Slot> slot = std::move(leaf->slots[at]);
    removeAt(leaf->keys, at, leaf->count);
    removeAt(leaf->slots, at, leaf->count);
    --leaf->count;
    --size_;
    while (depth > 0 && node->count < kSparse) {
      auto [parent, place] = path[--depth];
      thin(*parent, place);
      node = parent;
    }
    shrinkRoot();
    return slot;
  }

  // Walks entries in order. Dies with the next change of this tree.
  class Cursor {
  public:
    Cursor() = default;
    bool atEnd() const { return depth_ == 0; }
    const K& key() const { return leaf()->keys[path_[depth_ - 1].at]; }
    const Slot& slot() const { return leaf()->slots[path_[depth_ - 1].at]; }
    void next() {
      ++path_[depth_ - 1].at;
      settle();
    }

  private:
    friend class OrderedTree;
    struct Step {
      const Node* node;
      uint32_t at;
    };

    const Leaf* leaf() const { return static_cast<const Leaf*>(path_[depth_ - 1].node); }
    void push(const Node* node, uint32_t at) { path_[checkedDepth(depth_++)] = {node, at}; }
    // Climbs from where a node has ended, and down to the next leaf.
    void settle() {
      while (depth_ > 0 && path_[depth_ - 1].at >= path_[depth_ - 1].node->count) {
        if (--depth_ > 0) ++path_[depth_ - 1].at;
      }
      while (depth_ > 0 && !path_[depth_ - 1].node->leaf) {
        const Step& step = path_[depth_ - 1];
        push(static_cast<const Inner*>(step.node)->children[step.at], 0);
      }
    }

    std::array<Step, kDepthMax> path_;
    size_t depth_ = 0;
  };

  Cursor begin() const {
    Cursor cursor;
    if (root_ != nullptr) {
      cursor.push(root_, 0);
      cursor.settle();
    }
    return cursor;
  }
  // At the first key that is not less than `key`.
  Cursor from(View key) const {
    Cursor cursor;
    const Node* node = root_;
    while (node != nullptr && !node->leaf) {
      const auto* inner = static_cast<const Inner*>(node);
      uint32_t at = childOf(*inner, key);
      cursor.push(node, at);
      node = inner->children[at];
    }
    if (node != nullptr) {
      cursor.push(node, lowerBound(*static_cast<const Leaf*>(node), key));
      cursor.settle();
    }
    return cursor;
  }

  // Where a key's slot lies, as long as `shape` is what it was: nothing has been put in, taken out
  // or captured since.
  struct Spot {
    Leaf* leaf = nullptr;  // null: the key is not there, or its way is shared with a capture
    uint32_t at = 0;
  };
  uint64_t shape() const { return shape_; }
  // The slot of `key`, which is to be written to; null where the spot is another key's.
  static Slot* slotAt(const Spot& spot, View key) {
    return spot.leaf != nullptr && spot.leaf->keys[spot.at] == key ? &spot.leaf->slots[spot.at]
                                                                   : nullptr;
  }

  // Brings the ways to these keys into the processor's cache, all of them side by side: a single
  // descent waits for memory once a level, thirty-two of them together hardly longer. What it finds
  // at their ends goes to `spots`, so that nobody has to go there twice.
  static constexpr size_t kPrefetchMax = 32;
  void prefetch(const View* keys, Spot* spots, size_t count) {
    std::array<Node*, kPrefetchMax> nodes;
    std::array<bool, kPrefetchMax> ours;
    std::fill_n(spots, count, Spot{});
    if (root_ == nullptr || count > kPrefetchMax) return;
    nodes.fill(root_);
    ours.fill(exclusive(*root_));
    while (!nodes[0]->leaf) {
      for (size_t i = 0; i < count; ++i) {
        const auto* inner = static_cast<const Inner*>(nodes[i]);
        nodes[i] = inner->children[childOf(*inner, keys[i])];
        touch(nodes[i], nodes[i]->leaf ? sizeof(Leaf) : sizeof(Inner));
      }
      // Apart from the above, for this waits for what that has asked for.
      for (size_t i = 0; i < count; ++i) ours[i] = ours[i] && exclusive(*nodes[i]);
    }
    for (size_t i = 0; i < count; ++i) {
      auto* leaf = static_cast<Leaf*>(nodes[i]);
      uint32_t at = lowerBound(*leaf, keys[i]);
      bool found = at < leaf->count && leaf->keys[at] == keys[i];
      spots[i] = {found && ours[i] ? leaf : nullptr, at};
      if (found) leaf->slots[at].prefetch();
    }
    for (size_t i = 0; i < count; ++i) {
      if (spots[i].leaf != nullptr) spots[i].leaf->slots[spots[i].at].prefetchContent();
    }
  }

  // What the nodes themselves take, roughly: they are about two thirds full.
  uint64_t nodeBytes() const { return size_ * (sizeof(K) + sizeof(Slot)) * 3 / 2; }

private:
  struct Node {
    explicit Node(bool isLeaf) : leaf(isLeaf) {}

    std::atomic<uint32_t> refs{1};
    uint32_t count = 0;
    const bool leaf;
  };
  struct Leaf : Node {
    Leaf() : Node(true) {}
    std::array<K, kCountMax> keys{};
    std::array<Slot, kCountMax> slots{};
  };
  struct Inner : Node {
    Inner() : Node(false) {}
    std::array<K, kCountMax> keys{};  // [i], i > 0: not greater than any key under children[i], and
                                      // greater than all under children[i - 1]
    std::array<Node*, kCountMax> children{};
  };

  static size_t checkedDepth(size_t depth) {
    if (depth >= kDepthMax) throw std::length_error("a Table deeper than any can be");
    return depth;
  }

  // ---- references

  static void retain(Node* node) { node->refs.fetch_add(1, std::memory_order_relaxed); }
  static void release(Node* node) {
    if (node->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (node->leaf) {
      delete static_cast<Leaf*>(node);
      return;
    }
    auto* inner = static_cast<Inner*>(node);
    for (uint32_t i = 0; i < inner->count; ++i) release(inner->children[i]);
    delete inner;
  }
  static bool exclusive(const Node& node) { return node.refs.load(std::memory_order_acquire) == 1; }
  // `place` belongs to an exclusive node, or is the root's.
  static void makeExclusive(Node*& place) {
    if (exclusive(*place)) return;
    Node* copy = place->leaf ? static_cast<Node*>(copied(*static_cast<Leaf*>(place)))
                             : static_cast<Node*>(copied(*static_cast<Inner*>(place)));
    release(std::exchange(place, copy));
  }
  static Leaf* copied(const Leaf& from) {
    auto* leaf = new Leaf;
    for (uint32_t i = 0; i < from.count; ++i) {
      leaf->keys[i] = from.keys[i];
      leaf->slots[i] = from.slots[i];
    }
    leaf->count = from.count;
    return leaf;
  }
  static Inner* copied(const Inner& from) {
    auto* inner = new Inner;
    for (uint32_t i = 0; i < from.count; ++i) {
      inner->keys[i] = from.keys[i];
      inner->children[i] = from.children[i];
      retain(from.children[i]);
    }
    inner->count = from.count;
    return inner;
  }

  // ---- looking

  static uint32_t lowerBound(const Leaf& leaf, View key) {
    Sought<K, View> sought(key);
    uint32_t first = 0;
    for (uint32_t left = leaf.count; left > 0;) {
      uint32_t half = left / 2;
      if (sought.follows(leaf.keys[first + half])) {
        first += half + 1;
        left -= half + 1;
      } else {
        left = half;
      }
    }
    return first;
  }
  static uint32_t childOf(const Inner& inner, View key) {
    Sought<K, View> sought(key);
    uint32_t first = 1;
    for (uint32_t left = inner.count - 1; left > 0;) {
      uint32_t half = left / 2;
      if (!sought.precedes(inner.keys[first + half])) {
        first += half + 1;
        left -= half + 1;
      } else {
        left = half;
      }
    }
    return first - 1;
  }
  // The lines that a binary search looks at first.
  static void touch(const Node* node, size_t size) {
    const char* start = reinterpret_cast<const char*>(node);
    __builtin_prefetch(start);
    size_t keys = size < 8 * 64 ? size : kCountMax * sizeof(K);
    for (size_t part = 1; part < 8; ++part) __builtin_prefetch(start + keys * part / 8);
  }

  // ---- growing

  // The exclusive, full root becomes one half of what is below a new one.
  Inner* splitRoot(View key) {
    auto* top = new Inner;
    top->children[0] = root_;
    top->count = 1;
    root_ = top;
    splitChild(*top, 0, key);
    return top;
  }

  // Splits the exclusive, full child; `key` is about to be put there. Where it comes after all
  // others the left half stays full: keys that come in order fill their nodes.
  static void splitChild(Inner& parent, uint32_t at, View key) {
    Node* child = parent.children[at];
    Node* right = nullptr;
    K separator{};
    if (child->leaf) {
      auto& left = static_cast<Leaf&>(*child);
      uint32_t from = left.keys[kCountMax - 1] < key ? kCountMax : kCountMax / 2;
      separator = from == kCountMax ? K(key) : left.keys[from];
      auto* half = new Leaf;
      for (uint32_t i = from; i < kCountMax; ++i) {
        half->keys[i - from] = std::move(left.keys[i]);
        half->slots[i - from] = std::move(left.slots[i]);
      }
      setCounts(left, *half, from);
      right = half;
    } else {
      auto& left = static_cast<Inner&>(*child);
      uint32_t from = key < left.keys[kCountMax - 1] ? kCountMax / 2 : kCountMax - 1;
      separator = left.keys[from];
      auto* half = new Inner;
      for (uint32_t i = from; i < kCountMax; ++i) {
        half->keys[i - from] = std::move(left.keys[i]);
        half->children[i - from] = left.children[i];
      }
      setCounts(left, *half, from);
      right = half;
    }
    insertAt(parent.keys, at + 1, parent.count, std::move(separator));
    insertAt(parent.children, at + 1, parent.count, std::move(right));
    ++parent.count;
  }
  static void setCounts(Node& left, Node& right, uint32_t from) {
    left.count = from;
    right.count = kCountMax - from;
  }

  // Puts a key that is not there in its place in a leaf with room.
  Place insert(Leaf& leaf, uint32_t at, View key) {
    ++shape_;  // it moves others, and may have split the leaf
    insertAt(leaf.keys, at, leaf.count, K(key));
    insertAt(leaf.slots, at, leaf.count, Slot());
    ++leaf.count;
    ++size_;
    return {&leaf.slots[at], true};
  }

  // ---- shrinking

  // The exclusive child at `at` has become sparse: drops it where it is empty, else joins it with a
  // neighbour where the two leave room.
  static void thin(Inner& parent, uint32_t at) {
    if (parent.children[at]->count == 0) {
      release(parent.children[at]);
      removeChild(parent, at);
      return;
    }
    for (uint32_t left : {at, at - 1}) {
      if (left + 1 >= parent.count || left == UINT32_MAX) continue;
      uint32_t sum = parent.children[left]->count + parent.children[left + 1]->count;
      if (sum > kMergedMax) continue;
      makeExclusive(parent.children[left]);
      makeExclusive(parent.children[left + 1]);
      join(parent, left);
      return;
    }
  }
  static void join(Inner& parent, uint32_t at) {
    Node* child = parent.children[at];
    Node* next = parent.children[at + 1];
    if (child->leaf) {
      auto& left = static_cast<Leaf&>(*child);
      auto& right = static_cast<Leaf&>(*next);
      for (uint32_t i = 0; i < right.count; ++i) {
        left.keys[left.count + i] = std::move(right.keys[i]);
        left.slots[left.count + i] = std::move(right.slots[i]);
      }
    } else {
      auto& left = static_cast<Inner&>(*child);
      auto& right = static_cast<Inner&>(*next);
      right.keys[0] = parent.keys[at + 1];
      for (uint32_t i = 0; i < right.count; ++i) {
        left.keys[left.count + i] = std::move(right.keys[i]);
        left.children[left.count + i] = right.children[i];
      }
    }
    child->count += next->count;
    next->count = 0;  // its children have moved
    release(next);
    removeChild(parent, at + 1);
  }
  static void removeChild(Inner& parent, uint32_t at) {
    removeAt(parent.keys, at, parent.count);
    removeAt(parent.children, at, parent.count);
    --parent.count;
  }
  void shrinkRoot() {
    while (root_ != nullptr && (root_->count == 0 || (!root_->leaf && root_->count == 1))) {
      Node* only = root_->count == 0 ? nullptr : static_cast<Inner*>(root_)->children[0];
      root_->count = 0;  // exclusive: its child moves up
      release(std::exchange(root_, only));
    }
  }

  template <typename T>
  static void insertAt(std::array<T, kCountMax>& array, uint32_t at, uint32_t count, T value) {
    for (uint32_t i = count; i > at; --i) array[i] = std::move(array[i - 1]);
    array[at] = std::move(value);
  }
  template <typename T>
  static void removeAt(std::array<T, kCountMax>& array, uint32_t at, uint32_t count) {
    for (uint32_t i = at + 1; i < count; ++i) array[i - 1] = std::move(array[i]);
    array[count - 1] = T();
  }

  Node* root_ = nullptr;
  size_t size_ = 0;
  mutable uint64_t shape_ = 0;  // another number whenever a slot may lie elsewhere, or be shared
};

}  // namespace flotilla
