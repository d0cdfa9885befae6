// Batches of several groups on their way to one host.
#include "sdk/client/courier.h"

#include <algorithm>
#include <utility>

#include "flotilla/byte_pages.h"
#include "sdk/client/fault_text.h"

namespace flotilla::client {
namespace {

// A call carries about so much, 256 KiB: a host takes its parcels in turn, the groups that follow
// fetched while one has its, and the rest of a large turn is written while the host has begun.
constexpr size_t kCallWords = 32'768;
constexpr size_t kParcelWords = 8;

// Of the senders that want to send this part may at a time, and so many always.
constexpr size_t kPlacesPart = 4;
constexpr size_t kPlacesMin = 64;
// What is so many times longer under way than others waits for something else than a busy host.
constexpr int kCountedTimes = 10;
constexpr kj::Duration kCountedForMin = 20 * kj::MILLISECONDS;
constexpr kj::Duration kCountedForMax = 1 * kj::SECONDS;
constexpr int kTypicalOf = 64;  // answers, about

// In copies: the message of a delivery dies with the call.
std::vector<Outcome> read(capnp::List<schema::Outcome>::Reader from, BytePages& pages) {
  std::vector<Outcome> to;
  to.reserve(from.size());
  auto keep = [&pages](kj::ArrayPtr<const char> answer) {
    return pages.copy({answer.begin(), answer.size()});
  };
  for (auto outcome : from) readOutcome(outcome, keep, to.emplace_back());
  return to;
}

}  // namespace

// Cap'n Proto's servers are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// The host's way to us. It may outlive us.
class Courier::Receiver final : public schema::CourierReceiver::Server, public kj::Refcounted {
public:
  explicit Receiver(Courier& courier) : courier_(&courier) {}
  void close() { courier_ = nullptr; }

protected:
  kj::Promise<void> deliver(DeliverContext context) override {
    if (courier_ == nullptr) return kj::READY_NOW;
    Courier& courier = *courier_;
    KJ_IF_MAYBE (thrown,
                 kj::runCatchingExceptions([&]() { courier.answered(context.getParams()); })) {
      courier.giveUp();
      return kj::mv(*thrown);
    }
    return kj::READY_NOW;
  }

private:
  Courier* courier_;
};

#pragma GCC diagnostic pop

Courier::Courier(TurnEnd& turnEnd, kj::Timer& timer, std::string address, schema::Host::Client host,
                 uint64_t limitMs, kj::Promise<void> down)
    : turnEnd_(turnEnd),
      timer_(timer),
      address_(std::move(address)),
      host_(kj::mv(host)),
      limitMs_(limitMs),
      tasks_(*this) {
  tasks_.add(down.catch_([](kj::Exception&&) {}).then([this]() { giveUp(); }));
}

Courier::~Courier() noexcept(false) {
  if (receiver_.get() != nullptr) receiver_->close();
}

// ---- who may send -------------------------------------------------------------------------------

size_t Courier::places() const {
  return std::max(kPlacesMin, (counted_ + queue_.size()) / kPlacesPart);
}

kj::Duration Courier::countedFor() const {
  return std::clamp(kCountedTimes * typical_, kCountedForMin, kCountedForMax);
}

void Courier::learnTime(uint64_t number) {
  UnderWay* it = find(number);
  if (it == nullptr) return;
  kj::Duration took = timer_.now() - sentAt(*it);
  fastest_ = anyLanded_ ? std::min(fastest_, took) : took;
  typical_ = anyLanded_ ? typical_ + (took - typical_) / kTypicalOf : took;
  anyLanded_ = true;
}

bool Courier::admits(Sender& sender) {
  if (state_ == State::refused || !isBusy()) return true;
  forgetSlow();
  if (queue_.empty() && counted_ + called_ < places()) return true;
  queue_.push_back(&sender);
  watchQueue();
  return false;
}

void Courier::leaveQueue(Sender& sender) {
  std::erase(queue_, &sender);
}

// Once half of the places are free, so that those who are called travel together.
void Courier::callNext() {
  if (queue_.empty()) return;
  forgetSlow();
  bool all = state_ == State::refused || !isBusy();
  size_t limit = places();
  if (!all && counted_ + called_ > limit / 2) return;
  while (!queue_.empty() && (all || counted_ + called_ < limit)) {
    Sender* next = queue_.front();
    queue_.pop_front();
    ++called_;
    next->called();
  }
  turnEnd_.markCourier(*this);
}

void Courier::forgetSlow() {
  kj::TimePoint since = timer_.now() - countedFor();
  countedFromNumber_ = std::max(countedFromNumber_, firstNumber_);
  for (; countedFromNumber_ < firstNumber_ + underWay_.size(); ++countedFromNumber_) {
    UnderWay& it = underWay_[countedFromNumber_ - firstNumber_];
    if (sentAt(it) > since) return;
    if (std::exchange(it.parcel.counts, false)) --counted_;
  }
}

// Where nothing lands nobody would be called: looks again once what is under way may be forgotten.
void Courier::watchQueue() {
  if (watchingQueue_) return;
  watchingQueue_ = true;
  tasks_.add(timer_.afterDelay(countedFor()).then([this]() {
    watchingQueue_ = false;
    callNext();
    if (!queue_.empty()) watchQueue();
  }));
}

// ---- out ---------------------------------------------------------------------------------------

uint64_t Courier::add(Parcel parcel) {
  underWay_.push_back({parcel, timer_.now() + limitMs_ * kj::MILLISECONDS});
  if (parcel.counts) ++counted_;
  uint64_t number = firstNumber_ + underWay_.size() - 1;
  ready_.push_back(number);
  turnEnd_.markCourier(*this);
  return number;
}

void Courier::turnEnds() {
  called_ = 0;
  std::swap(ready_, leaving_);
  std::erase_if(leaving_, [this](uint64_t number) { return find(number) == nullptr; });
  if (leaving_.size() > 1) open();
  // One that counts is a parcel even alone, or it would not be seen among those under way.
  bool alone = leaving_.size() == 1 && !find(leaving_[0])->parcel.counts;
  if (leaving_.empty() || alone || state_ != State::open) {
    for (uint64_t number : leaving_) {
      KJ_IF_MAYBE (parcel, take(number)) parcel->sender->sendAlone(parcel->flight);
    }
  } else {
    watch();
    size_t words = 0;
    size_t first = 0;
    for (size_t at = 0; at < leaving_.size(); ++at) {
      words += kParcelWords + find(leaving_[at])->parcel.batch->wireWords();
      if (words < kCallWords && at + 1 < leaving_.size()) continue;
      sendCall(first, at + 1);
      first = at + 1;
      words = 0;
    }
  }
  leaving_.clear();
  callNext();  // who was called may have had nothing to send, or has sent it alone
}

// Asks once a connection. A host that is older than couriers refuses, and all goes as it went
// there.
void Courier::open() {
  if (state_ != State::unasked) return;
  state_ = State::opening;
  receiver_ = kj::refcounted<Receiver>(*this);
  auto request = host_.openCourierRequest();
  request.setReceiver(kj::addRef(*receiver_));
  tasks_.add(request.send().then(
      [this](capnp::Response<schema::Host::OpenCourierResults>&& response) {
        if (state_ != State::opening) return;
        courier_ = response.getCourier();
        state_ = State::open;
      },
      [this](kj::Exception&&) { state_ = State::refused; }));
}

void Courier::sendCall(size_t first, size_t last) {
  size_t words = 0;
  for (size_t at = first; at < last; ++at) {
    words += kParcelWords + find(leaving_[at])->parcel.batch->wireWords();
  }
  auto request = courier_.submitRequest(capnp::MessageSize{words + kParcelWords, 0});
  auto parcels = request.initParcels(static_cast<unsigned>(last - first));
  for (size_t at = first; at < last; ++at) {
    Parcel& from = find(leaving_[at])->parcel;
    auto to = parcels[static_cast<unsigned>(at - first)];
    to.setNumber(leaving_[at]);
    to.setGroup(from.group);
    to.setIncarnation(from.incarnation);
    from.batch->write(to.initCommands(static_cast<unsigned>(from.batch->calls.size())),
                      from.acknowledgedBelow);
    from.batch = nullptr;
  }
  tasks_.add(request.send().ignoreResult().catch_(
      [this, numbers = std::vector<uint64_t>(leaving_.begin() + static_cast<std::ptrdiff_t>(first),
                                             leaving_.begin() + static_cast<std::ptrdiff_t>(last))](
          kj::Exception&& why) {
        for (uint64_t number : numbers) give(number, why);
        callNext();
        // It took none of these, and can take others; or it is good for nothing any more.
        ErrorCode code = faultOf(why).code;
        if (code != ErrorCode::overloaded && code != ErrorCode::tooLarge) giveUp();
      }));
}

// ---- home --------------------------------------------------------------------------------------

Courier::UnderWay* Courier::find(uint64_t number) {
  if (number < firstNumber_ || number - firstNumber_ >= underWay_.size()) return nullptr;
  UnderWay& it = underWay_[number - firstNumber_];
  return it.parcel.sender == nullptr ? nullptr : &it;
}

kj::Maybe<Courier::Parcel> Courier::take(uint64_t number) {
  UnderWay* it = find(number);
  if (it == nullptr) return nullptr;
  Parcel parcel = std::exchange(it->parcel, {});
  if (parcel.counts) --counted_;
  while (!underWay_.empty() && underWay_.front().parcel.sender == nullptr) {
    underWay_.pop_front();
    ++firstNumber_;
  }
  return parcel;
}

void Courier::forget(uint64_t number) {
  take(number);
  callNext();
}

void Courier::answered(schema::CourierReceiver::DeliverParams::Reader delivery) {
  auto list = delivery.getAnswers();
  BytePages pages;  // of this delivery
  for (auto answer : list) {
    learnTime(answer.getNumber());
    KJ_IF_MAYBE (parcel, take(answer.getNumber())) {
      if (answer.isFault()) {
        parcel->sender->broke(parcel->flight, exceptionOf(faultOf(answer.getFault())));
      } else {
        parcel->sender->landed(parcel->flight, read(answer.getOutcomes(), pages));
      }
    }
  }
  callNext();
}

void Courier::give(uint64_t number, const kj::Exception& exception) {
  KJ_IF_MAYBE (parcel, take(number)) {
    if (parcel->batch == nullptr) return parcel->sender->broke(parcel->flight, exception);
    // It has not left.
    parcel->sender->broke(parcel->flight,
                          exceptionOf({ErrorCode::unavailable, "the connection broke", ""}));
  }
}

// Those that are there by now: what their senders add meanwhile is not of this connection's past.
void Courier::breakAll(const kj::Exception& exception) {
  uint64_t end = firstNumber_ + underWay_.size();
  for (uint64_t number = firstNumber_; number < end; ++number) give(number, exception);
}

// From now on every batch goes by itself. What became of those under way is not known.
void Courier::giveUp() {
  state_ = State::refused;
  breakAll(KJ_EXCEPTION(DISCONNECTED, "the connection broke before the answer"));
  callNext();
}

void Courier::watch() {
  if (watching_ || underWay_.empty()) return;
  watching_ = true;
  tasks_.add(timer_.atTime(underWay_.front().due).then([this]() {
    watching_ = false;
    expire();
    watch();
  }));
}

void Courier::expire() {
  kj::Exception late = exceptionOf(silence(limitMs_));
  while (!underWay_.empty() && underWay_.front().due <= timer_.now()) {
    KJ_IF_MAYBE (parcel, take(firstNumber_)) parcel->sender->broke(parcel->flight, late);
  }
  callNext();
}

Fault Courier::silence(uint64_t limitMs) const {
  return {ErrorCode::timeout,
          "host " + address_ + ": no answer within " + std::to_string(limitMs) + " ms", ""};
}

// Every task handles its own failures; what comes here is a bug of ours, and ends in nothing.
void Courier::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::client
