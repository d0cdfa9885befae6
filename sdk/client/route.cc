// Where one group's calls go now.
#include "sdk/client/route.h"

#include <set>

#include "sdk/client/fault_text.h"
#include "sdk/client/within.h"

namespace flotilla::client {
namespace {

// How long a search waits for the connection to a leader it has heard of, before it makes do with
// a host that forwards.
constexpr kj::Duration kLeaderPatience = 250 * kj::MILLISECONDS;

// How old a route grows before the leader is asked for again.
constexpr kj::Duration kRefreshDirect = 5 * kj::SECONDS;
constexpr kj::Duration kRefreshForwarded = 1 * kj::SECONDS;

}  // namespace

// One look for the group: whom it has asked, and what it has found so far.
struct Route::Search : public kj::Refcounted {
  std::set<std::string> asked;
  bool followed = false;             // a host's word about the leader
  kj::Maybe<Target> fallback;        // a host that will forward
  std::optional<Fault> noSuchGroup;  // some host's word
};

Route::Route(kj::Own<Hosts> hosts, std::string name)
    : hosts_(kj::mv(hosts)),
      name_(std::move(name)),
      refreshAt_(hosts_->timer().now()),
      tasks_(*this) {}

kj::Maybe<Target&> Route::now() {
  KJ_IF_MAYBE (target, target_) {
    if (target->link->up() && target->link->connection() == target->connection) {
      if (hosts_->timer().now() >= refreshAt_) refresh();
      return *target;
    }
    lost(turn_, false);
  }
  return nullptr;
}

// Looks for the leader again while calls go on to where they went.
void Route::refresh() {
  if (refreshing_) return;
  refreshing_ = true;
  refreshAt_ = hosts_->timer().now() + kRefreshDirect;
  tasks_.add(look().catch_([](kj::Exception&&) {}).then([this]() { refreshing_ = false; }));
}

kj::Promise<void> Route::seek() {
  return look().attach(kj::addRef(*this));
}

// Our own tasks wait for it without keeping us: what holds itself is never let go.
kj::Promise<void> Route::look() {
  KJ_IF_MAYBE (seeking, seeking_) {
    return seeking->addBranch();
  }
  auto forked = kj::evalLater([this]() { return search(); })
                    .then([this]() { sought(); },
                          [this](kj::Exception&& exception) {
                            sought();
                            kj::throwFatalException(kj::mv(exception));
                          })
                    .fork();
  auto branch = forked.addBranch();
  seeking_ = kj::mv(forked);
  return branch;
}

// The search is over; what held it is let go of outside its own event.
void Route::sought() {
  KJ_IF_MAYBE (seeking, seeking_) {
    tasks_.add(kj::evalLater([done = kj::mv(*seeking)]() {}));
  }
  seeking_ = nullptr;
}

kj::Promise<void> Route::search() {
  auto search = kj::refcounted<Search>();
  HostAddress hint = std::exchange(hint_, {});
  if (hint.id == 0 && hint.address.empty()) return askAny(kj::mv(search));
  return hosts_->named(hint, kLeaderPatience)
      .then([this, search = kj::mv(search)](kj::Maybe<kj::Own<Link>>&& link) mutable {
        KJ_IF_MAYBE (leader, link) {
          return ask(kj::mv(search), kj::mv(*leader));
        }
        return askAny(kj::mv(search));
      });
}

kj::Promise<void> Route::askAny(kj::Own<Search> search) {
  return hosts_->any(avoid_).then([this, search = kj::mv(search)](kj::Own<Link>&& link) mutable {
    return ask(kj::mv(search), kj::mv(link));
  });
}

kj::Promise<void> Route::ask(kj::Own<Search> search, kj::Own<Link> link) {
  search->asked.insert(link->address());
  auto request = link->host().findGroupRequest();
  request.setName(name_);
  auto limit = hosts_->options().attemptTimeoutMs * kj::MILLISECONDS;
  Link* asked = link.get();
  Target target{schema::Group::Client(nullptr), kj::mv(link), asked->connection(), 0, 0};
  auto answer = identify(request.send(), kj::mv(target));
  auto again = kj::addRef(*search);
  return within(hosts_->timer(), limit, kj::mv(answer),
                {ErrorCode::timeout, "host " + asked->address() + ": no answer in time", ""})
      .then([this, search = kj::mv(search)](
                Found&& found) mutable { return follow(kj::mv(search), kj::mv(found)); },
            [this, search = kj::mv(again),
             host = kj::addRef(*asked)](kj::Exception&& exception) mutable {
              if (faultOf(exception).code == ErrorCode::timeout) hosts_->suspect(*host);
              return refused(kj::mv(search), exception);
            });
}

// Reads which group was found, of the host's own words or, from a host that does not say it with
// the group, of the group's description.
kj::Promise<Route::Found> Route::identify(
    capnp::RemotePromise<schema::Host::FindGroupResults> answer, Target target) {
  return answer.then(
      [target = kj::mv(target)](capnp::Response<schema::Host::FindGroupResults>&& response) mutable
      -> kj::Promise<Found> {
        target.group = response.getGroup();
        if (response.hasEntry()) {
          auto entry = response.getEntry();
          target.groupId = entry.getId();
          target.incarnation = entry.getIncarnation();
          HostAddress leader{entry.getLeader().getId(),
                             std::string(entry.getLeader().getAddress().cStr())};
          return Found{kj::mv(target), std::move(leader)};
        }
        auto described = target.group.describeRequest().send();
        return described.then(
            [target = kj::mv(target)](
                capnp::Response<schema::Group::DescribeResults>&& description) mutable {
              target.groupId = description.getDescription().getId();
              target.incarnation = description.getDescription().getIncarnation();
              return Found{kj::mv(target), HostAddress{}};
            });
      });
}

// Goes to the leader that a host spoke of, and keeps that host for the case that it is not there.
kj::Promise<void> Route::follow(kj::Own<Search> search, Found found) {
  bool elsewhere = found.leader.id != 0 && found.leader.id != found.target.link->hostId();
  if (!elsewhere || search->followed) {
    settle(kj::mv(found.target), !elsewhere && found.leader.id != 0);
    return kj::READY_NOW;
  }
  search->followed = true;
  search->fallback = kj::mv(found.target);
  return hosts_->named(found.leader, kLeaderPatience)
      .then([this, search = kj::mv(search)](
                kj::Maybe<kj::Own<Link>>&& link) mutable -> kj::Promise<void> {
        KJ_IF_MAYBE (leader, link) {
          return ask(kj::mv(search), kj::mv(*leader));
        }
        settle(kj::mv(KJ_ASSERT_NONNULL(search->fallback)), false);
        return kj::READY_NOW;
      });
}

// One host gave us nothing: another may. That there is no such group is believed when every host
// that is up says so, for one may not have heard of it yet.
kj::Promise<void> Route::refused(kj::Own<Search> search, const kj::Exception& why) {
  Fault fault = faultOf(why);
  KJ_IF_MAYBE (fallback, search->fallback) {
    settle(kj::mv(*fallback), false);
    return kj::READY_NOW;
  }
  if (fault.code == ErrorCode::denied || fault.code == ErrorCode::badRequest)
    return exceptionOf(fault);
  if (fault.code == ErrorCode::noSuchGroup) search->noSuchGroup = fault;
  for (Link* link : hosts_->up()) {
    if (!search->asked.contains(link->address())) return ask(kj::mv(search), kj::addRef(*link));
  }
  return exceptionOf(search->noSuchGroup.value_or(fault));
}

void Route::settle(Target target, bool direct) {
  ++turn_;
  avoid_.clear();
  target_ = kj::mv(target);
  refreshAt_ = hosts_->timer().now() + (direct ? kRefreshDirect : kRefreshForwarded);
}

void Route::leads(uint64_t turn, HostAddress leader) {
  if (turn != turn_) return;
  KJ_IF_MAYBE (target, target_) {
    if (target->link->hostId() == leader.id) return;  // it has become leader meanwhile
  }
  hint_ = std::move(leader);
  lost(turn, false);
}

void Route::lost(uint64_t turn, bool silent) {
  if (turn != turn_) return;
  KJ_IF_MAYBE (target, target_) {
    avoid_ = target->link->address();
    if (silent) hosts_->suspect(*target->link);
  }
  target_ = nullptr;
}

// Every task handles its own failures; what comes here is a bug of ours, and ends in nothing.
void Route::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, exception);
}

}  // namespace flotilla::client
