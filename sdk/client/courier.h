// Batches of several groups on their way to one host.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include <kj/async.h>
#include <kj/refcount.h>
#include <kj/timer.h>

#include "schemas/client.capnp.h"
#include "sdk/client/batch.h"
#include "sdk/client/outcome.h"
#include "sdk/client/turn_end.h"

namespace flotilla::client {

// What lanes want to send over one connection in one turn of the loop: a batch that is alone goes
// as a call of its own, several travel in one. A call for each, with the promises and messages that
// it takes, was the largest part of what a client of many groups cost, here and at the host.
//
// Where many groups want to send to a busy host, a quarter of them, 64 at least, may have a batch
// under way at a time. The others gather meanwhile: the host makes an entry of each batch, however
// little is in it, so calls are to wait where they still join one another. A host is busy that
// takes half as long again as it has ever taken; a far one is not. A batch that is under way much
// longer than others no longer counts, so groups that are slow or hang hold up the others for a
// moment.
//
// Owner:  Link, for the life of a connection, and the flights it carries, and lanes that wait in
//         its queue: they leave it before they die.
// Thread: the client's loop.
// Errors: each parcel's sender is told its outcomes or an exception, once, unless it is forgotten.
// Time:   `limitMs` after it was added a parcel's sender is told that the host was silent.
class Courier final : public kj::Refcounted,
                      public TurnEnd::Member,
                      private kj::TaskSet::ErrorHandler {
public:
  class Sender {
  public:
    virtual void landed(uint64_t flight, std::vector<Outcome>&& outcomes) = 0;
    virtual void broke(uint64_t flight, const kj::Exception& exception) = 0;
    // The parcel is the sender's again: it travels by itself.
    virtual void sendAlone(uint64_t flight) = 0;
    // It was not admitted, and now is, for one parcel at the next end of a turn. To be noted only.
    virtual void called() = 0;

  protected:
    ~Sender() = default;
  };

  struct Parcel {
    Sender* sender = nullptr;  // null: forgotten, or answered
    uint64_t flight = 0;
    const Batch* batch = nullptr;  // until the turn's end
    uint64_t group = 0;
    uint64_t incarnation = 0;
    uint64_t acknowledgedBelow = 0;
    bool counts = false;  // among those that are under way, for `admits`
  };

  // `down` ends when the connection is gone.
  Courier(TurnEnd& turnEnd, kj::Timer& timer, std::string address, schema::Host::Client host,
          uint64_t limitMs, kj::Promise<void> down);
  ~Courier() noexcept(false);

  // Whether one may add a parcel now, of those that wait for one another; else it is called later.
  bool admits(Sender& sender);
  void leaveQueue(Sender& sender);  // nothing where it is not in it

  // Leaves at the turn's end. The number is for `forget`.
  uint64_t add(Parcel parcel);
  // Whether that one, or a later one, still waits for the turn's end.
  bool holds(uint64_t number) const { return !ready_.empty() && number >= ready_.front(); }
  void forget(uint64_t number);

  Fault silence(uint64_t limitMs) const;  // what one is told whom the host has not answered

private:
  class Receiver;
  enum class State { unasked, opening, open, refused };
  struct UnderWay {
    Parcel parcel;
    kj::TimePoint due;
  };

  void turnEnds() override;
  void open();
  void sendCall(size_t first, size_t last);  // of leaving_
  UnderWay* find(uint64_t number);
  kj::Maybe<Parcel> take(uint64_t number);
  void answered(schema::CourierReceiver::DeliverParams::Reader answers);
  void breakAll(const kj::Exception& exception);
  void give(uint64_t number, const kj::Exception& exception);
  void giveUp();
  kj::TimePoint sentAt(const UnderWay& it) const { return it.due - limitMs_ * kj::MILLISECONDS; }
  void learnTime(uint64_t number);
  bool isBusy() const { return 2 * typical_ >= 3 * fastest_; }
  kj::Duration countedFor() const;
  size_t places() const;
  void callNext();
  void forgetSlow();
  void watchQueue();
  void watch();
  void expire();
  void taskFailed(kj::Exception&& exception) override;

  TurnEnd& turnEnd_;
  kj::Timer& timer_;
  std::string address_;
  schema::Host::Client host_;
  uint64_t limitMs_;
  State state_ = State::unasked;
  schema::Courier::Client courier_ = nullptr;
  kj::Own<Receiver> receiver_;

  std::deque<UnderWay> underWay_;  // numbers from firstNumber_ on; in the order of their times
  uint64_t firstNumber_ = 1;
  std::vector<uint64_t> ready_;    // for the turn's end
  std::vector<uint64_t> leaving_;  // at it
  bool watching_ = false;

  std::deque<Sender*> queue_;       // who asked and was not admitted
  size_t counted_ = 0;              // of underWay_
  size_t called_ = 0;               // in this turn
  uint64_t countedFromNumber_ = 1;  // those before it are no longer
  bool watchingQueue_ = false;
  // How long answers have taken: the quickest of this connection, and those of late. None yet: the
  // host may be busy.
  bool anyLanded_ = false;
  kj::Duration fastest_ = 0 * kj::MILLISECONDS;
  kj::Duration typical_ = 0 * kj::MILLISECONDS;
  kj::TaskSet tasks_;
};

}  // namespace flotilla::client
