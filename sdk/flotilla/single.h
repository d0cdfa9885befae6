// One replicated value, and one that never changes.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "flotilla/replicated.h"

namespace flotilla {

// A single value beside the Tables: a counter, a mode, a limit that commands can change.
//
// Owner:  the machine. Thread: the machine's.
// Errors: none beyond Member's.
template <typename T>
class Single final : public Member {
public:
  explicit Single(T value = T()) : value_(std::move(value)) {}

  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }
  void set(T value) {
    if (undoes_ && !before_) before_ = std::move(value_);
    changed_ = undoes_;
    value_ = std::move(value);
  }

  void keep() override { settle(); }
  void undo() override {
    if (before_) value_ = std::move(*before_);
    settle();
  }
  std::unique_ptr<MemberCapture> captureMember() const override {
    return std::make_unique<Held>(value_);
  }
  void load(SnapshotReader& in) override {
    value_ = Stored<T>::read(in);
    settle();
  }
  void share(const Member& other) override { value_ = static_cast<const Single&>(other).value_; }
  uint64_t digest() const override { return Stored<T>::hash(value_); }
  uint64_t memoryBytes() const override { return Stored<T>::memoryBytes(value_); }
  size_t bytesInMachine() const override { return sizeof *this; }

private:
  class Held final : public MemberCapture {
  public:
    explicit Held(T value) : value_(std::move(value)) {}
    void save(SnapshotWriter& out) const override { Stored<T>::write(out, value_); }

  private:
    T value_;
  };

  void settle() {
    before_.reset();
    changed_ = false;
  }

  T value_;
  std::optional<T> before_;
};

// A value that the constructor takes from the group's configuration and nobody changes. It is not
// part of the state: no snapshot, no digest.
//
// Owner:  the machine. Thread: the machine's.
// Errors: none.
template <typename T>
class Fixed final : public Member {
public:
  explicit Fixed(T value) : value_(std::move(value)) {}

  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }

  void keep() override {}
  void undo() override {}
  std::unique_ptr<MemberCapture> captureMember() const override { return nullptr; }
  void load(SnapshotReader&) override {}
  void share(const Member&) override {}  // both have it from the configuration
  uint64_t digest() const override { return 0; }
  uint64_t memoryBytes() const override { return 0; }
  size_t bytesInMachine() const override { return sizeof *this; }

private:
  const T value_;
};

}  // namespace flotilla
