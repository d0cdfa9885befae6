// Vectors whose room is used again.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "host/base/assert.h"
#include "host/base/give_back.h"

namespace flotilla::base {

// Rooms for what is gathered for a moment, shared by all of a thread: thousands of groups take
// turns, and a room of its own for each is memory that lies there for the few whose turn it is.
//
// Owner:  the thread, until it ends: sleep gives nothing of it back.
// Thread: its own; a vector may be taken on one and given back on another.
// Errors: none.
template <typename T>
class SpareRooms {
public:
  static constexpr size_t kBytesMax = 4 << 20;  // kept, of one thread and kind

  static SpareRooms& ofThread() {
    static thread_local SpareRooms rooms;
    return rooms;
  }

  // Empty, with the room of whichever was given back last.
  std::vector<T> take() {
    if (rooms_.empty()) return {};
    std::vector<T> room = std::move(rooms_.back());
    rooms_.pop_back();
    bytes_ -= bytesOf(room);
    return room;
  }

  // Leaves it empty and without room.
  void giveBack(std::vector<T>& room) {
    room.clear();
    if (room.capacity() != 0 && bytes_ + bytesOf(room) <= kBytesMax) {
      rooms_.push_back(std::move(room));
      bytes_ += bytesOf(rooms_.back());
    }
    base::giveBack(room);
  }

private:
  static size_t bytesOf(const std::vector<T>& room) {
    return sizeof room + room.capacity() * sizeof(T);
  }

  std::vector<std::vector<T>> rooms_;
  size_t bytes_ = 0;
};

// One of them, for as long as a call lasts, for a vector that has none.
//
// Owner:  the call.
// Thread: one.
// Errors: none.
template <typename T>
class BorrowedRoom {
public:
  explicit BorrowedRoom(std::vector<T>& to) : to_(to) {
    ASSERT(to.capacity() == 0);
    to_ = SpareRooms<T>::ofThread().take();
  }
  ~BorrowedRoom() { SpareRooms<T>::ofThread().giveBack(to_); }
  BorrowedRoom(const BorrowedRoom&) = delete;
  BorrowedRoom& operator=(const BorrowedRoom&) = delete;

private:
  std::vector<T>& to_;
};

}  // namespace flotilla::base
