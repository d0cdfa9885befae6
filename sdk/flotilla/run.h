// A run's parameters, read in place, and a command's result on its way out.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <capnp/any.h>
#include <capnp/message.h>
#include <kj/exception.h>

#include "flotilla/abi.h"
#include "flotilla/error.h"

namespace flotilla {

// Whether an exception came out of Cap'n Proto itself, as those about damaged messages do, and not
// out of a check that the machine's author wrote.
inline bool raisedByCapnp(const kj::Exception& exception) {
  const char* file = exception.getFile();
  return std::strstr(file, "capnp/") != nullptr &&
         (std::strstr(file, "layout.") != nullptr || std::strstr(file, "arena.") != nullptr ||
          std::strstr(file, "message.") != nullptr || std::strstr(file, "any.") != nullptr);
}

// The commands of one call of apply. Some dozens of them at a time are decoded ahead.
//
// Owner:  one call of Instance.
// Thread: the machine's.
// Errors: none: what cannot be read is `damaged`.
class Run {
public:
  static constexpr uint64_t kDecodedMax = 32;
  static constexpr uint64_t kTraversalWordsMax = uint64_t{8} << 20;  // a command may read 64 MiB
  static constexpr int kNestingMax = 64;

  Run(const flotilla_command* commands, uint64_t count)
      : first_(reinterpret_cast<const char*>(commands)), stride_(commands->size), count_(count) {}
  ~Run() {
    for (uint64_t i = 0; i < made_; ++i) std::destroy_at(&rooms_[i].decoded);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const flotilla_command& command(uint64_t place) const {
    return *reinterpret_cast<const flotilla_command*>(first_ + place * stride_);
  }

  // Reads the commands from `first` on; those before are forgotten.
  void decode(uint64_t first) {
    decodedFirst_ = first;
    decodedLimit_ = std::min(count_, first + kDecodedMax);
    for (uint64_t place = first; place < decodedLimit_; ++place) {
      uint64_t room = place - first;
      if (room == made_) {
        std::construct_at(&rooms_[room].decoded);
        ++made_;
      }
      rooms_[room].decoded.read(command(place).params);
    }
  }
  uint64_t decodedLimit() const { return decodedLimit_; }

  bool damaged(uint64_t place) const { return !at(place).damage.empty(); }
  const std::string& damage(uint64_t place) const { return at(place).damage; }
  capnp::AnyStruct::Reader params(uint64_t place) const { return at(place).root; }

private:
  struct Decoded {
    kj::ArrayPtr<const capnp::word> segment;
    std::optional<capnp::SegmentArrayMessageReader> message;
    capnp::AnyStruct::Reader root;
    std::string damage;

    void read(flotilla_bytes params) {
      static const capnp::word kNothing{};
      const auto* words = static_cast<const capnp::word*>(params.start);
      segment = params.size == 0 ? kj::arrayPtr(&kNothing, 1)
                                 : kj::arrayPtr(words, params.size / sizeof(capnp::word));
      damage.clear();
      try {
        capnp::ReaderOptions options;
        options.traversalLimitInWords = kTraversalWordsMax;
        options.nestingLimit = kNestingMax;
        message.emplace(kj::arrayPtr(&segment, 1), options);
        root = message->getRoot<capnp::AnyStruct>();
      } catch (const kj::Exception& exception) {
        damage = exception.getDescription().cStr();
        if (damage.empty()) damage = "not readable";
      }
    }
  };

  // Most runs are short where there are many machines: room costs nothing until it is used.
  union Room {
    Room() {}
    ~Room() {}
    Decoded decoded;
  };

  const Decoded& at(uint64_t place) const { return rooms_[place - decodedFirst_].decoded; }

  const char* first_;
  uint64_t stride_;
  uint64_t count_;
  uint64_t decodedFirst_ = 0;
  uint64_t decodedLimit_ = 0;
  uint64_t made_ = 0;  // the first so many rooms hold one
  std::array<Room, kDecodedMax> rooms_;
};

// A message in a room that all results of a thread use; what does not fit there is allocated.
// MallocMessageBuilder takes several times as long to begin and end as a small result to fill.
//
// Owner:  one command; never two at once on a thread.
// Thread: the machine's.
// Errors: those of allocation.
class ResultMessage final : public capnp::MessageBuilder {
public:
  ResultMessage() = default;
  ~ResultMessage() override {
    if (!begun_) return;
    auto first = getSegmentsForOutput()[0].asBytes();
    std::memset(room().begin(), 0, first.size());
  }
  KJ_DISALLOW_COPY(ResultMessage);

  kj::ArrayPtr<capnp::word> allocateSegment(unsigned minimumWords) override {
    if (!begun_ && more_.empty() && minimumWords <= kRoomWords) {
      begun_ = true;
      return room();
    }
    size_t words = std::max<size_t>(minimumWords, kRoomWords << std::min<size_t>(more_.size(), 8));
    return kj::arrayPtr(more_.emplace_back(std::make_unique<capnp::word[]>(words)).get(), words);
  }

private:
  static constexpr size_t kRoomWords = 1024;

  // All zero between uses.
  static kj::ArrayPtr<capnp::word> room() {
    static thread_local capnp::word words[kRoomWords];
    return kj::arrayPtr(words, kRoomWords);
  }

  bool begun_ = false;  // the room is its first segment
  std::vector<std::unique_ptr<capnp::word[]>> more_;
};

// A result while it is built, nearly always within one segment.
//
// Owner:  one command; never two at once on a thread.
// Thread: the machine's.
// Errors: segment throws Error `resultTooLarge`.
class Results {
public:
  static constexpr size_t kBytesMax = size_t{4} << 20;

  capnp::MessageBuilder& message() { return message_; }

  // All of it as one segment. Dies with the Results.
  std::string_view segment() {
    auto segments = message_.getSegmentsForOutput();
    if (segments.size() > 1) {
      capnp::AnyPointer::Reader root = message_.getRoot<capnp::AnyPointer>().asReader();
      uint64_t words = root.targetSize().wordCount + 1;
      if (words * sizeof(capnp::word) > kBytesMax) {
        throw Error("resultTooLarge", "a result may take " + std::to_string(kBytesMax) +
                                          " bytes, this one takes " +
                                          std::to_string(words * sizeof(capnp::word)));
      }
      flat_.emplace(static_cast<uint32_t>(words), capnp::AllocationStrategy::FIXED_SIZE);
      flat_->setRoot(root);
      segments = flat_->getSegmentsForOutput();
    }
    auto bytes = segments[0].asBytes();
    return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  }

private:
  ResultMessage message_;
  std::optional<capnp::MallocMessageBuilder> flat_;
};

}  // namespace flotilla
