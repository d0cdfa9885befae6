// A value, or why there is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace flotilla {

// Every way in which a request can end badly. Names and numbers are schemas/types.capnp's
// ErrorCode; tests/schemas holds the two against each other.
enum class ErrorCode : uint16_t {
  none = 0,
  // Not executed, for certain.
  noSuchGroup = 1,
  groupStopping = 2,
  groupRemoved = 3,
  noSuchMethod = 4,
  badRequest = 5,
  tooLarge = 6,
  denied = 7,
  notLeader = 8,
  overloaded = 9,
  diskFull = 10,
  wrongEpoch = 11,
  unavailable = 12,
  sessionExpired = 13,
  alreadyExists = 14,
  // Perhaps executed.
  unknown = 15,
  timeout = 16,
  faulted = 17,
  // The machine's own answer, with the author's code beside it.
  app = 18,
  // Never on the wire: what a host finds on its own disk.
  corrupt = 19,
  io = 20,
};

// The code as the schema spells it; "unheardOf" for a number this build does not know.
inline std::string_view nameOf(ErrorCode code);

// True where the request may have been carried out although no answer came.
inline bool maybeDone(ErrorCode code) {
  return code == ErrorCode::unknown || code == ErrorCode::timeout || code == ErrorCode::faulted;
}

// Why a request has no result. `text` is one line, lower case: who: what was found; what to do.
struct Fault {
  ErrorCode code = ErrorCode::unknown;
  std::string text;
  std::string appCode;  // the author's own code, with ErrorCode::app only

  bool operator==(const Fault&) const = default;
};

// Shaped like std::expected, which gcc 12 lacks, to be replaced by it one day.
//
// Thread: as its value.
// Errors: asking for what it does not hold throws std::bad_variant_access.
template <typename T>
class [[nodiscard]] Result {
public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Fault fault) : held_(std::in_place_index<1>, std::move(fault)) {}  // NOLINT: implicit

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(held_); }
  const T& value() const& { return std::get<0>(held_); }
  T&& value() && { return std::get<0>(std::move(held_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Fault& fault() const { return std::get<1>(held_); }

private:
  std::variant<T, Fault> held_;
};

template <>
class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Fault fault) : fault_(std::move(fault)) {}  // NOLINT: implicit

  bool ok() const { return !fault_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Fault& fault() const { return *fault_; }

private:
  std::optional<Fault> fault_;
};

inline std::string_view nameOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::none:
      return "none";
    case ErrorCode::noSuchGroup:
      return "noSuchGroup";
    case ErrorCode::groupStopping:
      return "groupStopping";
    case ErrorCode::groupRemoved:
      return "groupRemoved";
    case ErrorCode::noSuchMethod:
      return "noSuchMethod";
    case ErrorCode::badRequest:
      return "badRequest";
    case ErrorCode::tooLarge:
      return "tooLarge";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::notLeader:
      return "notLeader";
    case ErrorCode::overloaded:
      return "overloaded";
    case ErrorCode::diskFull:
      return "diskFull";
    case ErrorCode::wrongEpoch:
      return "wrongEpoch";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::sessionExpired:
      return "sessionExpired";
    case ErrorCode::alreadyExists:
      return "alreadyExists";
    case ErrorCode::unknown:
      return "unknown";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::faulted:
      return "faulted";
    case ErrorCode::app:
      return "app";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::io:
      return "io";
  }
  return "unheardOf";
}

}  // namespace flotilla
