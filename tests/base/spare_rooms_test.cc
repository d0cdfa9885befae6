// Rooms that go round.
#include "host/base/spare_rooms.h"

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using flotilla::base::BorrowedRoom;
using flotilla::base::SpareRooms;

TEST_CASE("base/spare_rooms: the room that was given back last is taken next, and is empty") {
  struct Here {
    int value;
  };
  auto& rooms = SpareRooms<Here>::ofThread();
  std::vector<Here> small(3, Here{1});
  std::vector<Here> large(100, Here{2});
  const Here* last = large.data();
  rooms.giveBack(small);
  rooms.giveBack(large);
  CHECK(small.capacity() == 0);
  CHECK(large.capacity() == 0);

  std::vector<Here> taken = rooms.take();
  CHECK(taken.empty());
  CHECK(taken.capacity() == 100);
  CHECK(taken.data() == last);
  CHECK(rooms.take().capacity() == 3);
  CHECK(rooms.take().capacity() == 0);
}

TEST_CASE("base/spare_rooms: what lies in a room dies when it is given back") {
  auto& rooms = SpareRooms<std::shared_ptr<int>>::ofThread();
  auto kept = std::make_shared<int>(1);
  std::vector<std::shared_ptr<int>> room{kept};
  rooms.giveBack(room);
  CHECK(kept.use_count() == 1);
}

TEST_CASE("base/spare_rooms: no more is kept than may be, however large or many they are") {
  struct Byte {
    std::byte value;
  };
  using Rooms = SpareRooms<Byte>;
  auto& rooms = Rooms::ofThread();
  std::vector<Byte> tooLarge(Rooms::kBytesMax);
  rooms.giveBack(tooLarge);
  CHECK(tooLarge.capacity() == 0);
  CHECK(rooms.take().capacity() == 0);

  // Again and again: what has been taken no longer counts.
  for (size_t each : {size_t{1000}, size_t{1000}, size_t{1}, size_t{1000}}) {
    for (size_t i = 0; i < 2 * Rooms::kBytesMax / (each + sizeof(std::vector<Byte>)); ++i) {
      std::vector<Byte> room(each);
      rooms.giveBack(room);
    }
    size_t bytes = 0;
    while (size_t capacity = rooms.take().capacity()) bytes += capacity + sizeof(std::vector<Byte>);
    CHECK(bytes <= Rooms::kBytesMax);
    CHECK(bytes > Rooms::kBytesMax * 9 / 10);
  }
}

TEST_CASE("base/spare_rooms: what was borrowed goes back to the thread it ends on") {
  struct There {
    int value;
  };
  std::vector<There> work;
  {
    BorrowedRoom room(work);
    work.reserve(50);
    work.push_back({1});
  }
  CHECK(work.capacity() == 0);
  std::thread([&] {
    BorrowedRoom room(work);
    CHECK(work.capacity() == 0);  // another thread's rooms are its own
    work.reserve(20);
  }).join();
  BorrowedRoom room(work);
  CHECK(work.empty());
  CHECK(work.capacity() == 50);
}
