// All hosts of a cluster that a client knows, and the connections to them.
#include "sdk/client/hosts.h"

#include <algorithm>

#include "sdk/client/fault_text.h"
#include "sdk/client/within.h"

namespace flotilla::client {
namespace {

constexpr uint64_t kBackoffMsMin = 25;
constexpr uint64_t kBackoffMsMax = 1'600;

kj::Duration backoff(uint64_t failures) {
  uint64_t ms = kBackoffMsMin << std::min<uint64_t>(failures, 6);
  return std::min(ms, kBackoffMsMax) * kj::MILLISECONDS;
}

}  // namespace

Hosts::Hosts(kj::Timer& timer, kj::Own<Connector> connector, ClientOptions options)
    : timer_(timer), connector_(kj::mv(connector)), options_(std::move(options)), tasks_(*this) {
  for (const std::string& address : options_.addresses) linkTo(address);
}

Hosts::~Hosts() noexcept(false) = default;

Link& Hosts::linkTo(const std::string& address) {
  kj::Own<Link>& link = links_[address];
  if (link.get() == nullptr) {
    link = kj::refcounted<Link>(timer_, turnEnd_, *connector_, address, options_);
  }
  return *link;
}

Link* Hosts::find(const HostAddress& host) {
  for (auto& [address, link] : links_) {
    if (host.id != 0 && link->hostId() == host.id && link->up()) return link.get();
  }
  auto it = links_.find(host.address);
  return it == links_.end() ? nullptr : it->second.get();
}

void Hosts::start(Link& link) {
  if (tended_.insert(link.address()).second) tasks_.add(tend(link, 0));
}

void Hosts::startAll() {
  for (auto& [address, link] : links_) start(*link);
}

// Connects, waits for the connection's end, and begins again, for as long as we live.
kj::Promise<void> Hosts::tend(Link& link, uint64_t failures) {
  return link.connect()
      .then([this, &link]() {
        wentUp(link);
        return link.whenDown();
      })
      .then([]() -> uint64_t { return 0; },
            [this, failures](kj::Exception&&) {
              failed();
              return failures + 1;
            })
      .then([this, &link](uint64_t failuresNow) {
        if (up().empty()) startAll();
        return timer_.afterDelay(backoff(failuresNow)).then([this, &link, failuresNow]() {
          return tend(link, failuresNow);
        });
      });
}

void Hosts::wentUp(Link& link) {
  if (cluster_.empty()) cluster_ = link.cluster();
  if (link.cluster() != cluster_) {
    Fault fault{ErrorCode::badRequest,
                "host " + link.address() + ": belongs to cluster \"" + link.cluster() +
                    "\", others to \"" + cluster_ + "\"; name hosts of one cluster",
                ""};
    link.refuse(fault);
    kj::throwFatalException(exceptionOf(fault));
  }
  for (const HostAddress& host : link.known()) {
    if (!host.address.empty() && links_.size() < kHostsMax) linkTo(host.address);
  }
  for (Waiter& waiter : std::exchange(waiters_, {})) waiter.fulfiller->fulfill();
  tellWatchers();
}

// Says why nothing is up, once no given address has anything left to try; null before.
std::optional<Fault> Hosts::hopeless(bool onlyIfDenied) {
  if (!up().empty()) return std::nullopt;
  Fault all{ErrorCode::denied, "", ""};
  for (const std::string& address : options_.addresses) {
    const std::optional<Fault>& trouble = linkTo(address).trouble();
    if (!trouble.has_value()) return std::nullopt;
    if (trouble->code != ErrorCode::denied) {
      if (onlyIfDenied) return std::nullopt;
      all.code = ErrorCode::unavailable;
    }
    all.text += (all.text.empty() ? "" : "; ") + trouble->text;
  }
  return all;
}

void Hosts::failed() {
  for (Waiter& waiter : std::exchange(waiters_, {})) {
    std::optional<Fault> fault = hopeless(!waiter.impatient);
    if (fault.has_value()) {
      waiter.fulfiller->reject(exceptionOf(*fault));
    } else {
      waiters_.push_back(std::move(waiter));
    }
  }
  tellWatchers();
}

kj::Promise<void> Hosts::wait(bool impatient) {
  for (const std::string& address : options_.addresses) start(linkTo(address));
  if (std::optional<Fault> fault = hopeless(true)) return exceptionOf(*fault);
  auto pair = kj::newPromiseAndFulfiller<void>();
  waiters_.push_back({kj::mv(pair.fulfiller), impatient});
  return kj::mv(pair.promise);
}

kj::Promise<void> Hosts::reach() {
  if (!up().empty()) return kj::READY_NOW;
  if (options_.addresses.empty()) {
    return exceptionOf({ErrorCode::unavailable, "no host's address given; name one", ""});
  }
  return wait(true);
}

std::vector<Link*> Hosts::up() {
  std::vector<Link*> out;
  for (auto& [address, link] : links_) {
    if (link->up()) out.push_back(link.get());
  }
  return out;
}

kj::Promise<kj::Own<Link>> Hosts::any(const std::string& avoid) {
  std::vector<Link*> choices = up();
  if (choices.empty()) {
    return wait(false).then([this, avoid]() { return any(avoid); });
  }
  if (choices.size() > 1) {
    std::erase_if(choices, [&avoid](Link* link) { return link->address() == avoid; });
  }
  return kj::addRef(*choices[turn_++ % choices.size()]);
}

kj::Promise<kj::Maybe<kj::Own<Link>>> Hosts::named(HostAddress host, kj::Duration patience) {
  Link* link = find(host);
  if (link == nullptr && !host.address.empty() && links_.size() < kHostsMax) {
    link = &linkTo(host.address);
  }
  if (link == nullptr) return kj::Maybe<kj::Own<Link>>(nullptr);
  if (!link->up() && !link->trouble().has_value()) start(*link);
  return named(*link, timer_.now() + patience);
}

// Looks again whenever some link has come up or failed.
kj::Promise<kj::Maybe<kj::Own<Link>>> Hosts::named(Link& link, kj::TimePoint until) {
  if (link.up()) return kj::Maybe<kj::Own<Link>>(kj::addRef(link));
  if (link.trouble().has_value() || timer_.now() >= until) {
    return kj::Maybe<kj::Own<Link>>(nullptr);
  }
  auto pair = kj::newPromiseAndFulfiller<void>();
  watchers_.push_back(kj::mv(pair.fulfiller));
  return pair.promise.exclusiveJoin(timer_.atTime(until)).then([this, &link, until]() {
    return named(link, until);
  });
}

void Hosts::tellWatchers() {
  for (auto& watcher : std::exchange(watchers_, {})) watcher->fulfill();
}

void Hosts::suspect(Link& link) {
  if (!link.up() || !suspected_.insert(link.address()).second) return;
  uint64_t connection = link.connection();
  auto answer = link.host().countGroupsRequest().send().ignoreResult();
  auto limit = options_.attemptTimeoutMs * kj::MILLISECONDS;
  tasks_.add(within(timer_, limit, kj::mv(answer), {ErrorCode::timeout, "silent", ""})
                 .catch_([&link, connection](kj::Exception&& exception) {
                   bool silent = faultOf(exception).code == ErrorCode::timeout;
                   if (silent && link.connection() == connection) link.drop();
                 })
                 .then([this, &link]() { suspected_.erase(link.address()); }));
}

// Every task handles its own failures; what comes here is a bug of ours, and ends in nothing.
void Hosts::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::client
