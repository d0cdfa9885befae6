// What stands between the host and a plugin that does not keep to the boundary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "flotilla/abi.h"
#include "host/group/ports.h"

namespace flotilla::plugin {

inline std::string_view viewOf(flotilla_bytes bytes) {
  return {static_cast<const char*>(bytes.start), bytes.start == nullptr ? 0 : bytes.size};
}
inline flotilla_bytes bytesOf(std::string_view view) {
  return {view.data(), view.size()};
}

constexpr const char* kCatch = "; catch all in the plugin, and say it as a fault";

// Calls into a plugin. Empty where it came back; else what it threw, which it must not.
template <typename Call>
std::string guarded(Call&& call) {
  try {
    call();
    return {};
  } catch (const std::exception& error) {
    return std::string("threw across the boundary: ") + error.what() + kCatch;
  } catch (...) {
    return std::string("threw across the boundary something that is no std::exception") + kCatch;
  }
}

// The reason that a plugin gives for having done nothing.
//
// Thread: the call's. Errors: none.
class Reason {
public:
  Reason();
  Reason(const Reason&) = delete;
  Reason& operator=(const Reason&) = delete;

  const flotilla_reason* callback() const { return &callback_; }
  bool coded() const { return coded_; }  // the author has given a code, so it is meant as an answer
  std::string text() const { return text_.empty() ? "gave no reason" : text_; }

private:
  flotilla_reason callback_;
  std::string text_;
  bool coded_ = false;
};

// Hands a run's answers, timers and events on, and sees that there is one answer for each command,
// in order.
//
// Owner:  one call of apply or query.
// Thread: the call's.
// Errors: what the plugin did wrong is the `problem`; answers beyond it are dropped.
class AnswerCheck {
public:
  static constexpr size_t kTextBytesMax = 64 * 1024;

  // What beside answers is to be expected.
  struct Expected {
    bool timers = false;  // the machine says that it sets some
    bool events = false;  // these are commands
    // Once it holds a fault no answer is true any more, and none is taken; null: nothing can stop
    // it.
    const std::optional<Fault>* stopped = nullptr;
  };
  AnswerCheck(group::Answers& answers, size_t firstPlace, size_t count, Expected expected);
  AnswerCheck(const AnswerCheck&) = delete;
  AnswerCheck& operator=(const AnswerCheck&) = delete;

  const flotilla_answers* callback() const { return &callback_; }
  size_t answered() const { return next_; }
  // Empty where `claimed` commands were answered and a fault was said of the next, if there is one.
  std::string problem(uint64_t claimed) const;
  std::string fault() const { return fault_.value_or("gave no reason"); }

private:
  void takeResult(uint64_t place, flotilla_bytes segment);
  void takeError(uint64_t place, flotilla_bytes code, flotilla_bytes text);
  bool takeTimer(uint64_t place, int64_t timeUs, uint64_t token);
  bool takeEvent(uint64_t place, flotilla_bytes topic, flotilla_bytes message);
  bool inOrder(const char* what, uint64_t place);

  group::Answers& answers_;
  size_t firstPlace_;
  size_t count_;
  Expected expected_;
  size_t next_ = 0;
  std::string problem_;
  std::optional<std::string> fault_;
  flotilla_answers callback_;
};

}  // namespace flotilla::plugin
