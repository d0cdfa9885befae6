// One machine, as the C boundary calls it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flotilla/abi.h"
#include "flotilla/config.h"
#include "flotilla/error.h"
#include "flotilla/handler.h"
#include "flotilla/options.h"
#include "flotilla/replicated.h"
#include "flotilla/run.h"
#include "flotilla/snapshot_stream.h"
#include "flotilla/storage.h"
#include "flotilla/timers.h"

namespace flotilla {

// A machine that writes its own snapshots: capture() gives something with save(SnapshotWriter&)
// const, short and at a boundary; load(SnapshotReader&) is its reverse.
template <typename Machine>
concept CapturesItself = requires(const Machine& machine, Machine& target, SnapshotWriter& out,
                                  SnapshotReader& in) {
  machine.capture().save(out);
  target.load(in);
};
template <typename Machine>
concept DigestsItself = requires(const Machine& machine) {
  { machine.digest() } -> std::convertible_to<uint64_t>;
};
template <typename Machine>
concept MeasuresItself = requires(const Machine& machine) {
  { machine.memoryBytes() } -> std::convertible_to<uint64_t>;
};

// A machine that can begin with what one of another state version has saved: `in` gives it as that
// one's capture wrote it, member by member, so that a Table of the old types can load it.
template <typename Machine>
concept Migrates = requires(Machine& target, SnapshotReader& in) {
  target.migrate(uint32_t{}, in);
};

// A machine some of whose queries may take long, and are asked of a frozen one.
template <typename Machine>
concept AnswersAside = !CapturesItself<Machine> && requires {
  std::span<const std::string_view>(Machine::kLongQueries);
};

// Of the state's layout; a snapshot of another is migrated, or refused. `static constexpr uint32_t
// kStateVersion`.
template <typename Machine>
constexpr uint32_t stateVersionOf() {
  if constexpr (requires { Machine::kStateVersion; }) return Machine::kStateVersion;
  return 1;
}

// Owner:  the host, through create and destroy.
// Thread: one at a time; captures on any.
// Errors: the constructor, capture and load throw what the machine throws, and Error.
template <typename Machine>
class Instance {
public:
  Instance(std::span<const Handler<Machine>> handlers, const Config& config)
      : handlers_(handlers), config_(config) {
    Members::Construction signingUp(&members_);
    if constexpr (TakesOptions<Machine>) {
      capnp::MallocMessageBuilder message;
      auto options = message.template initRoot<typename Machine::Options>();
      OptionFiller(config, capnp::toDynamic(options)).fill();
      config.refuseUnknown();
      machine_ = std::make_unique<Machine>(options.asReader());
    } else if constexpr (std::is_constructible_v<Machine, const Config&>) {
      machine_ = std::make_unique<Machine>(config);
    } else {
      machine_ = std::make_unique<Machine>();
    }
    config.refuseUnknown();
    refuseUncaptured();
    members_.startUndoing();
  }

  // The run's commands, in order; as many as were answered.
  uint64_t apply(const flotilla_command* commands, uint64_t count, const flotilla_answers& answers,
                 flotilla_cursor* cursor) {
    Run run(commands, count);
    for (uint64_t place = 0; place < count; ++place) {
      if (place % Run::kDecodedMax == 0) prepare(run, place);
      const flotilla_command& command = run.command(place);
      if (cursor != nullptr) {
        cursor->index = command.index;
        cursor->ordinal = command.ordinal;
      }
      End end = answered(answers, place, run, [&](capnp::MessageBuilder& results) {
        Entry entry(command, answers, place);
        if (command.row == FLOTILLA_WAKE) return wake(entry, command.token, results);
        const Handler<Machine>& handler = handlers_[command.row];  // the host knows the table
        if (handler.command == nullptr) throw std::logic_error("a query was given as a command");
        handler.command(*machine_, entry, run.params(place), results);
      });
      if (end == End::done) {
        members_.keep();
      } else {
        members_.undo();
      }
      if (end == End::fault) return place;
    }
    return count;
  }

  // False where it is a fault.
  bool query(const flotilla_command& question, const flotilla_answers& answers) const {
    Run run(&question, 1);
    run.decode(0);
    const Handler<Machine>& handler = handlers_[question.row];
    return answered(answers, 0, run, [&](capnp::MessageBuilder& results) {
             if (handler.query == nullptr) throw std::logic_error("a command was given as a query");
             const Machine& machine = *machine_;
             handler.query(machine, View(question), run.params(0), results);
           }) != End::fault;
  }

  class Captured {
  public:
    virtual ~Captured() = default;
    virtual void save(SnapshotWriter& out) const = 0;
  };

  std::unique_ptr<Captured> capture() const {
    if constexpr (CapturesItself<Machine>) {
      return std::make_unique<OwnCapture<decltype(machine_->capture())>>(
          std::as_const(*machine_).capture());
    } else {
      return std::make_unique<MembersCapture>(members_.capture());
    }
  }

  // Another machine in this state, to be asked queries while this one goes on.
  std::unique_ptr<Instance> freeze() const {
    auto frozen = std::make_unique<Instance>(handlers_, config_);
    frozen->members_.share(members_);
    return frozen;
  }

  void load(SnapshotReader& in) {
    if (in.number<uint64_t>() != kMagic) throw Error("snapshotDamaged", "does not begin as one");
    auto version = in.number<uint32_t>();
    if (version != stateVersionOf<Machine>()) {
      migrate(version, in);
    } else if constexpr (CapturesItself<Machine>) {
      machine_->load(in);
    } else {
      members_.load(in);
    }
    if (!in.atEnd()) throw Error("snapshotDamaged", "goes on after its end");
  }

  // ---- of a machine on disk

  bool onDisk() const { return members_.any(MemberHome::disk); }

  // Goes on from what lies in the storage; empty: from the state of a new machine.
  void open(const flotilla_storage* storage) {
    storage_.emplace(storage);
    members_.attach(&*storage_);
    auto head = storage_->get(kHeadKey);
    if (!head) return;
    std::string bytes(*head);
    std::string_view left = bytes;
    flotilla_reader reader = readerOf(left);
    SnapshotReader in(reader);
    if (in.number<uint64_t>() != kMagic) throw Error("storageDamaged", "its head is none");
    auto version = in.number<uint32_t>();
    if (version != stateVersionOf<Machine>()) {
      throw Error("otherState", "the storage holds state version " + std::to_string(version) +
                                    ", this plugin has " +
                                    std::to_string(stateVersionOf<Machine>()));
    }
    members_.loadFirst(in);
    if (!in.atEnd()) {
      throw Error("otherState",
                  "the storage holds members that this version has not; only one with all of them "
                  "can go on from it");
    }
  }

  // What the members hold in memory (sizes, digests, Singles) goes into the storage.
  void sync() const {
    std::string bytes;
    flotilla_writer writer = writerTo(bytes);
    SnapshotWriter out(writer);
    MembersCapture(members_.capture()).save(out);
    out.flush();
    if (storage_->get(kHeadKey) != std::string_view(bytes)) storage_->set(kHeadKey, bytes);
  }

  uint64_t digest() const {
    if constexpr (DigestsItself<Machine>) return machine_->digest();
    return members_.digest();
  }
  uint64_t memoryBytes() const {
    if constexpr (MeasuresItself<Machine>) return machine_->memoryBytes();
    return sizeof *this + sizeof(Machine) + members_.memoryBytes();
  }

private:
  void migrate(uint32_t version, SnapshotReader& in) {
    if constexpr (Migrates<Machine>) {
      members_.fill([&] { machine_->migrate(version, in); });
    } else {
      throw Error("otherState", "a snapshot of state version " + std::to_string(version) +
                                    ", this plugin has " +
                                    std::to_string(stateVersionOf<Machine>()) +
                                    " and no migrate(version, reader)");
    }
  }

  static constexpr uint64_t kMagic = 0x70616e7361746c66ULL;  // "fltasnap"
  static constexpr std::string_view kHeadKey = "m";          // before the tables' keys
  enum class End { done, error, fault };

  class MembersCapture final : public Captured {
  public:
    explicit MembersCapture(std::vector<std::unique_ptr<MemberCapture>> members)
        : members_(std::move(members)) {}
    void save(SnapshotWriter& out) const override {
      out.number(kMagic);
      out.number<uint32_t>(stateVersionOf<Machine>());
      for (const auto& member : members_) member->save(out);
    }

  private:
    std::vector<std::unique_ptr<MemberCapture>> members_;
  };

  template <typename Held>
  class OwnCapture final : public Captured {
  public:
    explicit OwnCapture(Held held) : held_(std::move(held)) {}
    void save(SnapshotWriter& out) const override {
      out.number(kMagic);
      out.number<uint32_t>(stateVersionOf<Machine>());
      held_.save(out);
    }

  private:
    Held held_;
  };

  // A timer's command answers nothing: an empty struct.
  void wake(const Entry& entry, uint64_t token, capnp::MessageBuilder& results) {
    if constexpr (Wakes<Machine>) {
      machine_->wake(entry, token);
      results.getRoot<capnp::AnyPointer>();
    } else {
      throw std::logic_error("a timer was given to a machine without wake");
    }
  }

  // Calls one handler and hands its answer over, whatever comes out.
  template <typename Call>
  End answered(const flotilla_answers& answers, uint64_t place, const Run& run, Call&& call) const {
    try {
      if (run.damaged(place)) throw Error("badParams", run.damage(place));
      Results results;
      call(results.message());
      std::string_view segment = results.segment();
      answers.result(answers.context, place, {segment.data(), segment.size()});
      return End::done;
    } catch (const Error& error) {
      std::string_view text = error.what();
      answers.error(answers.context, place, {error.code().data(), error.code().size()},
                    {text.data(), text.size()});
      return End::error;
    } catch (const kj::Exception& exception) {
      std::string text = exception.getDescription().cStr();
      if (!raisedByCapnp(exception)) return fault(answers, text);
      // Parameters that are not what their schema says come from outside: no reason to stop.
      constexpr std::string_view kCode = "badParams";
      answers.error(answers.context, place, {kCode.data(), kCode.size()},
                    {text.data(), text.size()});
      return End::error;
    } catch (const std::exception& exception) {
      return fault(answers, exception.what());
    } catch (const StorageStopped&) {
      return fault(answers, "stopped by the host, whose disk it needs");
    } catch (...) {
      return fault(answers, "threw something that is no std::exception");
    }
  }
  static End fault(const flotilla_answers& answers, std::string_view text) {
    answers.fault(answers.context, {text.data(), text.size()});
    return End::fault;
  }

  // Reads ahead, so that the Tables can fetch what the run will need. Every command of every run:
  // what it reads counts against what the command may read, which must be the same wherever it is
  // applied, and how commands come in runs is not.
  void prepare(Run& run, uint64_t first) {
    run.decode(first);
    members_.expect(run.decodedLimit() - first);
    bool prepared = false;
    for (uint64_t place = first; place < run.decodedLimit(); ++place) {
      if (run.command(place).row == FLOTILLA_WAKE) continue;
      const Handler<Machine>& handler = handlers_[run.command(place).row];
      if (handler.prepare == nullptr || run.damaged(place)) continue;
      prepared = true;  // what it has asked for before it throws is of this run, too
      try {
        handler.prepare(*machine_, run.params(place));
      } catch (...) {
        // The command itself will say what is wrong.
      }
    }
    members_.expect(0);  // outside of prepare there is no run to look ahead in
    if (prepared) members_.prefetchRun();
  }

  // A plain member would be lost with the first snapshot, so a machine that is made of Tables is
  // made of nothing else.
  void refuseUncaptured() const {
    if (members_.any(MemberHome::memory) && onDisk()) {
      throw Error("uncaptured",
                  "has a DiskTable and a Table, which would be written whole with every few of the "
                  "other's changes; make all of them DiskTables");
    }
    if constexpr (CapturesItself<Machine>) {
      if (!members_.empty()) {
        throw Error(
            "uncaptured",
            "has Tables and its own capture(); the SDK saves Tables only where it saves all");
      }
    } else if constexpr (!std::is_empty_v<Machine>) {
      size_t known = members_.bytesInMachine() + (std::is_polymorphic_v<Machine> ? 8 : 0);
      if (sizeof(Machine) > known + 7) {
        throw Error("uncaptured",
                    "has " + std::to_string(sizeof(Machine) - known) +
                        " bytes of members that no snapshot would hold; make them flotilla::Table, "
                        "Single or Fixed, or give it capture() and load()");
      }
    }
  }

  std::span<const Handler<Machine>> handlers_;
  const Config config_;
  Members members_;
  std::optional<Storage> storage_;
  std::unique_ptr<Machine> machine_;
};

}  // namespace flotilla
