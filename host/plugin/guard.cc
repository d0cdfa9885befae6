// Turns what a plugin says into answers, as far as it makes sense.
#include "host/plugin/guard.h"

#include <algorithm>

namespace flotilla::plugin {
namespace {

std::string_view viewOf(flotilla_bytes bytes, size_t max) {
  if (bytes.start == nullptr) return {};
  return {static_cast<const char*>(bytes.start), std::min<size_t>(bytes.size, max)};
}

// One line, whatever an author's what() holds.
std::string lineOf(flotilla_bytes bytes) {
  std::string line(viewOf(bytes, AnswerCheck::kTextBytesMax));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r' || c == 0; }, ' ');
  return line;
}

}  // namespace

Reason::Reason()
    : callback_{sizeof callback_, this,
                [](void* context, flotilla_bytes code, flotilla_bytes text) noexcept {
                  auto& to = *static_cast<Reason*>(context);
                  to.coded_ = code.size > 0;
                  to.text_ = to.coded_ ? lineOf(code) + ": " + lineOf(text) : lineOf(text);
                }} {}

AnswerCheck::AnswerCheck(group::Answers& answers, size_t firstPlace, size_t count,
                         Expected expected)
    : answers_(answers),
      firstPlace_(firstPlace),
      count_(count),
      expected_(expected),
      callback_{
          sizeof callback_,
          this,
          [](void* context, uint64_t place, flotilla_bytes segment) noexcept {
            static_cast<AnswerCheck*>(context)->takeResult(place, segment);
          },
          [](void* context, uint64_t place, flotilla_bytes code, flotilla_bytes text) noexcept {
            static_cast<AnswerCheck*>(context)->takeError(place, code, text);
          },
          [](void* context, flotilla_bytes text) noexcept {
            static_cast<AnswerCheck*>(context)->fault_ = lineOf(text);
          },
          [](void* context, uint64_t place, int64_t timeUs, uint64_t token) noexcept {
            return static_cast<AnswerCheck*>(context)->takeTimer(place, timeUs, token) ? 0 : 1;
          },
          [](void* context, uint64_t place, flotilla_bytes topic, flotilla_bytes message) noexcept {
            return static_cast<AnswerCheck*>(context)->takeEvent(place, topic, message) ? 0 : 1;
          }} {}

bool AnswerCheck::inOrder(const char* what, uint64_t place) {
  if (!problem_.empty() || (expected_.stopped != nullptr && *expected_.stopped)) return false;
  if (place == next_ && next_ < count_ && !fault_) return true;
  problem_ = what + (" place " + std::to_string(place)) + " of a run of " + std::to_string(count_) +
             " where place " + std::to_string(next_) +
             " was next; places are answered in order, each once";
  return false;
}

void AnswerCheck::takeResult(uint64_t place, flotilla_bytes segment) {
  if (!inOrder("answered", place)) return;
  if (segment.start == nullptr || segment.size < 8 || segment.size % 8 != 0) {
    problem_ = "gave a result of " + std::to_string(segment.size) +
               " bytes; a segment is whole words, at least one";
    return;
  }
  ++next_;
  answers_.result(firstPlace_ + place, {static_cast<const char*>(segment.start), segment.size});
}

void AnswerCheck::takeError(uint64_t place, flotilla_bytes code, flotilla_bytes text) {
  if (!inOrder("answered", place)) return;
  ++next_;
  answers_.error(firstPlace_ + place, lineOf(code), lineOf(text));
}

bool AnswerCheck::takeTimer(uint64_t place, int64_t timeUs, uint64_t token) {
  if (!inOrder("set a timer for", place)) return false;
  if (expected_.timers) return answers_.wakeAt(firstPlace_ + place, timeUs, token);
  problem_ =
      "set a timer, which commands do of machines that say FLOTILLA_TIMERS, and nothing else does";
  return false;
}

bool AnswerCheck::takeEvent(uint64_t place, flotilla_bytes topic, flotilla_bytes message) {
  if (!inOrder("emitted an event for", place)) return false;
  if (!expected_.events) {
    problem_ = "emitted an event in a query; only commands do";
    return false;
  }
  if (topic.size > FLOTILLA_TOPIC_BYTES_MAX || message.size > FLOTILLA_MESSAGE_BYTES_MAX) {
    return false;
  }
  std::string_view name = viewOf(topic, FLOTILLA_TOPIC_BYTES_MAX);
  if (name.find('\0') != std::string_view::npos) return false;
  return answers_.emit(firstPlace_ + place, name, viewOf(message, FLOTILLA_MESSAGE_BYTES_MAX));
}

std::string AnswerCheck::problem(uint64_t claimed) const {
  if (!problem_.empty()) return problem_;
  if (claimed != next_) {
    return "says it answered " + std::to_string(claimed) + " commands and answered " +
           std::to_string(next_) + "; apply returns how many were answered";
  }
  if (next_ < count_ && !fault_) return "stopped without saying why; say a fault before";
  if (next_ == count_ && fault_) return "said a fault after the last answer: " + *fault_;
  return {};
}

}  // namespace flotilla::plugin
