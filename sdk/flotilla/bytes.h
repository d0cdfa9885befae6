// Bytes that several parties read and nobody changes.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace flotilla {

// A view of immutable bytes that also keeps them alive: what an entry's payload is from the socket
// it came by to the batch that is written and the frame that is sent, without a copy between. A
// part of a larger buffer is held by holding the buffer.
//
// Owner:  whoever holds a copy; the bytes live as long as the last one.
// Thread: any; copies may cross threads.
// Errors: none.
class Bytes {
public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, std::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  // A copy of `view`, aligned for Cap'n Proto words.
  static Bytes copyOf(std::string_view view) {
    std::shared_ptr<char[]> buffer = allocate(view.size());
    if (!view.empty()) std::memcpy(buffer.get(), view.data(), view.size());
    return take(std::move(buffer), view.size());
  }

  // Room for `size` bytes, aligned for words, to be filled and then handed to `take`. In one piece
  // with the count of its owners.
  static std::shared_ptr<char[]> allocate(std::size_t size) {
    auto words = std::make_shared_for_overwrite<uint64_t[]>((size + 7) / 8);
    return std::shared_ptr<char[]>(words, reinterpret_cast<char*>(words.get()));
  }
  static Bytes take(std::shared_ptr<char[]> buffer, std::size_t size) {
    std::string_view view(buffer.get(), size);
    return Bytes(std::move(buffer), view);
  }

  // The part of these bytes that `view` names, which must lie within them.
  Bytes part(std::string_view view) const { return Bytes(owner_, view); }

  std::string_view view() const { return view_; }
  const char* data() const { return view_.data(); }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace flotilla
