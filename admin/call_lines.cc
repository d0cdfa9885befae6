// Many calls, one a line.
#include "admin/call_lines.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sdk/client/fault_text.h"
#include "sdk/client/options.h"

namespace flotilla::admin {
namespace {

// Twice the largest parameters: as JSON, most bytes take one character.
constexpr size_t kLineBytesMax = 2 * client::kParamsBytesMax;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<kj::Array<capnp::word>> CallForm::params(const JsonTree& object) const {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::DynamicStruct>(method.params);
  if (Result<void> filled = fillStruct(root, object); !filled) return filled.fault();
  return client::flatten(message.getRoot<capnp::AnyPointer>().asReader());
}

kj::Promise<client::Outcome> CallForm::call(client::GroupClient& group,
                                            kj::ArrayPtr<const capnp::word> words) const {
  if (method.described->query) return group.query(method.described->id, words, freshness);
  return group.call(method.described->id, words);
}

std::string CallForm::answerLine(client::Outcome&& outcome) const {
  client::FlatMessage message(std::move(outcome.answer));
  auto results = message.root<capnp::AnyPointer>().getAs<capnp::DynamicStruct>(method.results);
  return dumped(toJson(results, data));
}

// A file is read as it is; a pipe or a terminal is waited for, lest answers wait for questions. Its
// flags stay as they are, for others share them.
CallLines::CallLines(kj::AsyncIoContext& io, client::GroupClient& group, CallForm form)
    : group_(group), form_(form), tasks_(*this) {
  struct stat found {};
  bool waits = fstat(STDIN_FILENO, &found) == 0 &&
               (S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode) || isatty(STDIN_FILENO) == 1);
  if (waits) {
    observer_ = kj::heap<kj::UnixEventPort::FdObserver>(
        io.unixEventPort, STDIN_FILENO, kj::UnixEventPort::FdObserver::OBSERVE_READ);
  }
}

kj::Promise<void> CallLines::run() {
  return readMore().then([this]() { return tasks_.onEmpty(); }).then([this]() {
    std::fflush(stdout);
    KJ_ASSERT(slots_.empty());
  });
}

kj::Promise<void> CallLines::readMore() {
  // Lines that had no room when they came in may have it by now, and no more may ever follow them.
  takeLines(false);
  if (slots_.size() >= kLinesInFlightMax) {
    auto pair = kj::newPromiseAndFulfiller<void>();
    room_ = kj::mv(pair.fulfiller);
    return pair.promise.then([this]() { return readMore(); });
  }
  if (!readable()) {
    return KJ_ASSERT_NONNULL(observer_)->whenBecomesReadable().then(
        [this]() { return readMore(); });
  }
  if (!readNow()) {
    takeLines(true);
    if (input_.empty()) return kj::READY_NOW;
    // More whole lines are left than may be under way at once.
    return kj::evalLast([this]() { return readMore(); });
  }
  return kj::evalLater([this]() { return readMore(); });
}

bool CallLines::readable() const {
  if (observer_ == nullptr) return true;
  pollfd wanted{STDIN_FILENO, POLLIN, 0};
  return poll(&wanted, 1, 0) != 0;
}

bool CallLines::readNow() {
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read into
  ssize_t count = 0;
  do {
    count = read(STDIN_FILENO, buffer.data(), buffer.size());
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return false;
  input_.append(buffer.data(), static_cast<size_t>(count));
  return true;
}

void CallLines::takeLines(bool atEnd) {
  size_t from = 0;
  if (skipping_) {  // the rest of a line that was refused for its length
    size_t newline = input_.find('\n');
    skipping_ = newline == std::string::npos;
    from = skipping_ ? input_.size() : newline + 1;
  }
  while (slots_.size() < kLinesInFlightMax && from < input_.size()) {
    size_t newline = input_.find('\n', from);
    if (newline == std::string::npos && !atEnd && input_.size() - from <= kLineBytesMax) break;
    skipping_ = newline == std::string::npos && !atEnd;
    size_t limit = std::min(newline, input_.size());
    std::string line = input_.substr(from, limit - from);
    from = std::min(limit + 1, input_.size());
    ++lineNumber_;
    if (line.find_first_not_of(" \t\r") != std::string::npos) start(line);
  }
  input_.erase(0, from);
}

void CallLines::start(const std::string& line) {
  uint64_t number = first_ + slots_.size();
  slots_.emplace_back();
  std::string place = "line " + std::to_string(lineNumber_) + ": ";
  if (line.size() > kLineBytesMax) {
    Fault fault{ErrorCode::tooLarge,
                place + "more than " + std::to_string(kLineBytesMax) + " bytes; send less at once",
                ""};
    return finish(number, &fault, "");
  }
  Result<JsonTree> object = parseJson(line);
  Result<kj::Array<capnp::word>> words =
      object ? form_.params(*object) : Result<kj::Array<capnp::word>>(object.fault());
  if (!words) {
    Fault fault{words.fault().code, place + words.fault().text, ""};
    return finish(number, &fault, "");
  }
  tasks_.add(form_.call(group_, *words)
                 .then([this](client::Outcome&& outcome) {
                   if (!outcome.ok()) kj::throwFatalException(client::exceptionOf(*outcome.fault));
                   return form_.answerLine(std::move(outcome));
                 })
                 .then([this, number](
                           std::string&& answer) { finish(number, nullptr, std::move(answer)); },
                       [this, number](kj::Exception&& exception) {
                         Fault fault = client::faultOf(exception);
                         finish(number, &fault, "");
                       }));
}

void CallLines::finish(uint64_t number, const Fault* fault, std::string line) {
  if (fault != nullptr) {
    line = dumped(Json{{"error", errorObject(*fault)}});
    worst_ = std::max(worst_, exitFor(*fault, true));
  }
  Slot& slot = slots_[number - first_];
  slot.done = true;
  slot.line = std::move(line);
  writeFront();
}

void CallLines::writeFront() {
  while (!slots_.empty() && slots_.front().done) {
    std::string& line = slots_.front().line;
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stdout);
    slots_.pop_front();
    ++first_;
    ++answered_;
  }
  if (!flushing_) {
    flushing_ = true;
    tasks_.add(kj::evalLast([this]() {
      flushing_ = false;
      std::fflush(stdout);
    }));
  }
  if (slots_.size() >= kLinesInFlightMax) return;
  KJ_IF_MAYBE (room, room_) {
    auto fulfiller = kj::mv(*room);
    room_ = nullptr;
    fulfiller->fulfill();
  }
}

// Every task handles its own failures; what comes here is a bug of ours.
void CallLines::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::admin
