// A part that few values have.
#pragma once

#include <memory>
#include <utility>

namespace flotilla {

// Takes a pointer's room, and is moved as one: what was moved from holds nothing. Read as
// std::optional is.
//
// Owner:  whoever holds it.
// Thread: as its value.
// Errors: those of allocation.
template <typename T>
class Rarely {
public:
  Rarely() = default;
  Rarely(T value) : value_(std::make_unique<T>(std::move(value))) {}  // NOLINT: as optional does
  Rarely(Rarely&&) noexcept = default;
  Rarely& operator=(Rarely&&) noexcept = default;
  Rarely(const Rarely& other) : value_(other.has_value() ? std::make_unique<T>(*other) : nullptr) {}
  Rarely& operator=(const Rarely& other) { return *this = Rarely(other); }
  ~Rarely() = default;

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }
  T value_or(T other) const { return has_value() ? *value_ : std::move(other); }

  friend bool operator==(const Rarely& one, const T& other) {
    return one.has_value() && *one == other;
  }

private:
  std::unique_ptr<T> value_;
};

}  // namespace flotilla
