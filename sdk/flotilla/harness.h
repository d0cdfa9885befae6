// A machine in memory, for its author's tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/describe.h"
#include "flotilla/expect.h"
#include "flotilla/memory_storage.h"

namespace flotilla::testing {

// What a call came to: a result, or the machine's own error. A fault is thrown, for it ends a test.
//
// Thread: the test's.
// Errors: result throws std::logic_error where there is none.
template <typename Results>
class Answer {
public:
  explicit Answer(std::string_view segment) : words_(segment.size() / sizeof(capnp::word)) {
    std::memcpy(words_.data(), segment.data(), segment.size());
    kj::ArrayPtr<const capnp::word> one(words_.data(), words_.size());
    segment_ = one;
    message_ = std::make_unique<capnp::SegmentArrayMessageReader>(kj::arrayPtr(&segment_, 1));
  }
  Answer(std::string code, std::string text) : code_(std::move(code)), text_(std::move(text)) {}
  Answer(const Answer&) = delete;

  bool ok() const { return code_.empty(); }
  const std::string& code() const { return code_; }  // the author's; empty: a result
  const std::string& text() const { return text_; }
  typename Results::Reader result() const {
    if (!ok()) throw std::logic_error("no result but " + code_ + ": " + text_);
    return message_->getRoot<Results>();
  }

private:
  std::vector<capnp::word> words_;
  kj::ArrayPtr<const capnp::word> segment_;
  std::unique_ptr<capnp::SegmentArrayMessageReader> message_;
  std::string code_;
  std::string text_;
};

// A fault of the machine, as the host would report it.
class MachineFault : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

// One replica without a cluster. Calls go the way they go in a host: over the C boundary.
//
//   Harness<KvMachine> kv({FLOTILLA_HANDLERS(KvMachine, put, get)});
//   kv.call<&KvMachine::put>([](auto in) { in.setKey("a"); }).result().getRevision();
//   kv.restart();   // into a new machine, through a snapshot
//
// Log time stands still but for `advance`, which fires the timers that come due on the way.
//
// Owner:  a test.
// Thread: one.
// Errors: throws MachineFault for a fault, Error where the machine refuses its configuration.
template <typename Machine, typename Interface = void>
class Harness {
public:
  using Settings = std::vector<std::pair<std::string, std::string>>;

  explicit Harness(std::initializer_list<Handler<Machine>> handlers, const Settings& settings = {})
      : handlers_(handlers), settings_(settings), instance_(made()) {
    if (!instance_->onDisk()) return;
    storage_ = std::make_unique<MemoryStorage>();
    instance_->open(storage_->storage());
  }

  // Carries out the handler's method: `fill` sets the parameters.
  template <auto Member, typename Fill>
  auto call(Fill&& fill) {
    using Params = typename typed::Signature<Member>::Params;
    using Results = typename typed::Signature<Member>::Results;
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Params>());
    std::string_view params = flat(message);
    Handler<Machine> wanted = handler<Member, Machine>("");
    flotilla_command command = next(rowOf(wanted), wanted.kind);
    command.params = {params.data(), params.size()};
    Heard heard = ask(command, wanted.kind);
    if (heard.fault) throw MachineFault(*heard.fault);
    if (!heard.code.empty()) return Answer<Results>(heard.code, heard.body);
    return Answer<Results>(heard.body);
  }

  // Log time moves on by so much. On the way each timer that is due fires, when it is due, in
  // order, those that firing sets included; gives their number.
  size_t advance(int64_t us) {
    int64_t limitUs = timeUs + us;
    size_t fired = 0;
    while (!timers_.empty() && timers_.begin()->first <= limitUs) {
      timeUs = std::max(timeUs, timers_.begin()->first);
      flotilla_command command = next(FLOTILLA_WAKE, FLOTILLA_COMMAND);
      command.token = timers_.begin()->second;
      timers_.erase(timers_.begin());
      Heard heard = ask(command, FLOTILLA_COMMAND);
      if (heard.fault) throw MachineFault(*heard.fault);
      if (++fired > kFiredMax) throw std::logic_error("timers set each other without end");
    }
    timeUs = limitUs;
    return fired;
  }
  // What was told so far, in order: topic and message.
  std::vector<std::pair<std::string, std::string>> events;

  // Pending, by the time when they are due: tokens.
  const std::multimap<int64_t, uint64_t>& timers() const { return timers_; }

  // Of a machine on disk, the rows of its storage instead.
  std::string snapshot() const {
    std::string bytes;
    flotilla_writer writer = writerTo(bytes);
    SnapshotWriter out(writer);
    if (storage_ != nullptr) {
      instance_->sync();
      for (const auto& [key, value] : storage_->rows) {
        out.string(key);
        out.string(value);
      }
    } else {
      instance_->capture()->save(out);
    }
    out.flush();
    return bytes;
  }
  // A new machine in the state of `snapshot`.
  void restore(std::string_view snapshot) {
    flotilla_reader reader = readerOf(snapshot);
    SnapshotReader in(reader);
    if (storage_ != nullptr) {
      auto storage = std::make_unique<MemoryStorage>();
      while (!in.atEnd()) {
        std::string key = in.string();
        storage->rows[key] = in.string();
      }
      instance_ = made(*storage);
      storage_ = std::move(storage);
    } else {
      auto instance = made();
      instance->load(in);
      instance_ = std::move(instance);
    }
  }
  void restart() { restore(snapshot()); }

  uint64_t digest() const { return instance_->digest(); }
  uint64_t index() const { return index_; }

  int64_t timeUs = 1'700'000'000'000'000;  // log time of the next call

private:
  static constexpr size_t kFiredMax = 1'000'000;  // by one advance

  struct Heard {
    std::string code;
    std::string body;
    std::optional<std::string> fault;
    std::vector<std::pair<int64_t, uint64_t>> wanted;       // timers
    std::vector<std::pair<std::string, std::string>> told;  // events
    uint64_t toldBytes = 0;
  };

  flotilla_command next(uint32_t row, uint32_t kind) {
    flotilla_command command{};
    command.size = sizeof command;
    command.row = row;
    command.index = kind == FLOTILLA_COMMAND ? ++index_ : index_;
    command.term = 1;
    command.timeUs = timeUs;
    command.seed = mixed(command.index, 1);
    return command;
  }

  std::unique_ptr<Instance<Machine>> made() const {
    Config config;
    for (const auto& [key, value] : settings_) config.add(key, value);
    return std::make_unique<Instance<Machine>>(handlers_, config);
  }
  std::unique_ptr<Instance<Machine>> made(const MemoryStorage& storage) const {
    auto instance = made();
    instance->open(storage.storage());
    return instance;
  }
  std::string_view flat(capnp::MallocMessageBuilder& message) {
    params_ = std::make_unique<capnp::MallocMessageBuilder>(
        static_cast<uint32_t>(message.sizeInWords() + 1));
    params_->setRoot(message.getRoot<capnp::AnyPointer>().asReader());
    auto bytes = params_->getSegmentsForOutput()[0].asBytes();
    return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  }
  uint32_t rowOf(const Handler<Machine>& wanted) const {
    for (uint32_t row = 0; row < handlers_.size(); ++row) {
      const Handler<Machine>& one = handlers_[row];
      if (one.command == wanted.command && one.query == wanted.query) return row;
    }
    throw std::logic_error("the harness was not given this handler");
  }
  Heard ask(const flotilla_command& command, uint32_t kind) {
    Heard heard;
    auto string = [](flotilla_bytes bytes) {
      return std::string(static_cast<const char*>(bytes.start), bytes.size);
    };
    static constexpr auto kString = string;
    flotilla_answers answers{
        sizeof answers,
        &heard,
        [](void* to, uint64_t, flotilla_bytes segment) {
          static_cast<Heard*>(to)->body = kString(segment);
        },
        [](void* to, uint64_t, flotilla_bytes code, flotilla_bytes text) {
          static_cast<Heard*>(to)->code = kString(code);
          static_cast<Heard*>(to)->body = kString(text);
        },
        [](void* to, flotilla_bytes text) { static_cast<Heard*>(to)->fault = kString(text); },
        [](void* context, uint64_t, int64_t dueUs, uint64_t token) {
          auto& to = *static_cast<Heard*>(context);
          to.wanted.emplace_back(dueUs, token);
          if (!Wakes<Machine>) to.fault = "sets a timer and has no wake to be called then";
          return 0;
        },
        [](void* context, uint64_t, flotilla_bytes topic, flotilla_bytes message) {
          bool fits = topic.size <= FLOTILLA_TOPIC_BYTES_MAX &&
                      message.size <= FLOTILLA_MESSAGE_BYTES_MAX &&
                      kString(topic).find('\0') == std::string::npos;
          if (!fits) return 1;
          Heard& to = *static_cast<Heard*>(context);
          to.toldBytes += FLOTILLA_EVENT_COST + topic.size + message.size;
          if (to.told.size() >= FLOTILLA_EVENTS_MAX) return 1;
          if (to.toldBytes > FLOTILLA_EVENTS_BYTES_MAX) return 1;
          to.told.emplace_back(kString(topic), kString(message));
          return 0;
        }};
    if (kind == FLOTILLA_COMMAND) {
      instance_->apply(&command, 1, answers, nullptr);
    } else {
      instance_->query(command, answers);
    }
    bool done = !heard.fault && heard.code.empty();
    if (!done) return heard;
    timers_.insert(heard.wanted.begin(), heard.wanted.end());
    for (auto& event : heard.told) events.push_back(std::move(event));
    return heard;
  }

  std::vector<Handler<Machine>> handlers_;
  Settings settings_;
  std::unique_ptr<MemoryStorage> storage_;  // of a machine on disk; outlives it
  std::unique_ptr<Instance<Machine>> instance_;
  std::unique_ptr<capnp::MallocMessageBuilder> params_;
  uint64_t index_ = 0;
  std::multimap<int64_t, uint64_t> timers_;  // the host's part of the state: a restart keeps them
};

}  // namespace flotilla::testing
