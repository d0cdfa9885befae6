// Many calls, one a line.
#pragma once

#include <deque>
#include <string>

#include <kj/async-io.h>
#include <kj/async-unix.h>

#include "admin/command.h"
#include "admin/json_value.h"
#include "admin/schema_book.h"
#include "sdk/client/group_client.h"

namespace flotilla::admin {

// One call's making and reading: what `flotilla call` does with one line of it.
struct CallForm {
  SchemaBook::Method method;
  client::Freshness freshness;
  DataForm data = DataForm::text;

  // The parameters of a JSON object as flat words.
  Result<kj::Array<capnp::word>> params(const JsonTree& object) const;
  kj::Promise<client::Outcome> call(client::GroupClient& group,
                                    kj::ArrayPtr<const capnp::word> words) const;
  // The answer on one line, without its end.
  std::string answerLine(client::Outcome&& outcome) const;
};

// Reads parameters from standard input, a JSON object a line, and writes an answer or
// {"error":{…}} a line, in the order asked, with many calls under way. An empty line is passed
// over.
//
// Owner:  the command, on its stack.
// Thread: main's.
// Errors: each line's own; worst() says how the worst one ended.
class CallLines final : private kj::TaskSet::ErrorHandler {
public:
  CallLines(kj::AsyncIoContext& io, client::GroupClient& group, CallForm form);

  // Ends when the input has, and the last answer is written.
  kj::Promise<void> run();
  Exit worst() const { return worst_; }
  uint64_t answered() const { return answered_; }

private:
  struct Slot {
    bool done = false;
    std::string line;
  };

  kj::Promise<void> readMore();
  bool readNow();  // false at the end of the input
  bool readable() const;
  void takeLines(bool atEnd);
  void start(const std::string& line);
  void finish(uint64_t number, const Fault* fault, std::string line);
  void writeFront();
  void taskFailed(kj::Exception&& exception) override;

  client::GroupClient& group_;
  CallForm form_;
  kj::Maybe<kj::Own<kj::UnixEventPort::FdObserver>> observer_;  // of a pipe or a terminal
  std::string input_;                                           // read and not yet a whole line
  std::deque<Slot> slots_;  // from first_ on, in the order asked
  uint64_t first_ = 0;
  uint64_t answered_ = 0;
  uint64_t lineNumber_ = 0;
  bool skipping_ = false;  // until the end of a line that is too long
  bool flushing_ = false;  // at the end of this turn of the loop
  Exit worst_ = Exit::done;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> room_;  // fulfilled when a slot is free again
  kj::TaskSet tasks_;
};

constexpr size_t kLinesInFlightMax = 256;

}  // namespace flotilla::admin
