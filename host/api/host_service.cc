// Groups by name, for applications.
#include "host/api/host_service.h"

#include <algorithm>

#include "host/api/courier_service.h"
#include "host/api/faults.h"
#include "host/api/group_service.h"
#include "host/api/words.h"

namespace flotilla::api {
namespace {

constexpr uint32_t kListUsual = 1'000;
constexpr uint32_t kListMax = 10'000;
// What looking for a group counts as among the calls under way: where it is not known here, the
// catalog's leader is asked, and awaited. So 1,024 at a time.
constexpr size_t kFindCalls = Admission::kCallsMax / 1'024;

Fault tooMany() {
  return Fault{ErrorCode::overloaded,
               "findGroup: this connection has too much under way; wait for answers", ""};
}

}  // namespace

schema::Group::Client HostService::bound(const catalog::GroupRecord& group) {
  return kj::heap<GroupService>(kj::addRef(*session_),
                                runtime::GroupRef{group.id, group.incarnation}, group.spec.name);
}

void HostService::write(const catalog::GroupRecord& group, schema::GroupEntry::Builder to) const {
  to.setName(group.spec.name);
  to.setId(group.id);
  to.setIncarnation(group.incarnation);
  to.setPlugin(group.plugin());
  to.setState(std::string(catalog::nameOf(group.phase)));
  runtime::Host& host = session_->host();
  uint64_t leader = host.router().leaderHost(group.id);
  if (leader == 0) return;
  to.getLeader().setId(leader);
  to.getLeader().setAddress(host.addressOf(leader));
}

Fault HostService::denied(const std::string& name) const {
  return Fault{ErrorCode::denied, "group " + name + ": this token does not open it", ""};
}

kj::Maybe<Admission::Ticket> HostService::enterFind(const std::string& name) {
  return session_->admission().enter(kFindCalls, name.size());
}

kj::Promise<void> HostService::createGroup(CreateGroupContext context) {
  if (!session_->isOperator()) {
    return exceptionOf(ErrorCode::denied,
                       "createGroup: only operators create groups; log in with operator.token");
  }
  return commands_.createGroup(context.getParams().getSpec(), 0)
      .then([this, context](CreatedGroup created) mutable {
        context.getResults().setGroup(bound(*created.group));
      });
}

kj::Promise<void> HostService::findGroup(FindGroupContext context) {
  std::string name(viewOf(context.getParams().getName()));
  if (!session_->mayUse(name)) return exceptionOf(denied(name));
  kj::Maybe<Admission::Ticket> ticket = enterFind(name);
  if (ticket == nullptr) return exceptionOf(tooMany());
  return commands_.find(name).then([this, context, name, ticket = kj::mv(ticket)](
                                       catalog::GroupPointer group) mutable -> kj::Promise<void> {
    if (!group) {
      return exceptionOf(ErrorCode::noSuchGroup,
                         "group " + name + ": there is none of that name; create it first");
    }
    // By its id a group could be reached past the patterns.
    if (!session_->mayUse(group->spec.name)) return exceptionOf(denied(name));
    auto results = context.getResults();
    results.setGroup(bound(*group));
    write(*group, results.initEntry());
    return kj::READY_NOW;
  });
}

kj::Promise<void> HostService::hasGroup(HasGroupContext context) {
  std::string name(viewOf(context.getParams().getName()));
  if (!session_->mayUse(name)) return exceptionOf(denied(name));
  kj::Maybe<Admission::Ticket> ticket = enterFind(name);
  if (ticket == nullptr) return exceptionOf(tooMany());
  return commands_.find(name).then(
      [context, ticket = kj::mv(ticket)](catalog::GroupPointer group) mutable {
        context.getResults().setHas(group != nullptr);
      });
}

kj::Promise<void> HostService::listGroups(ListGroupsContext context) {
  uint32_t limit = context.getParams().getLimit();
  limit = limit == 0 ? kListUsual : std::min(limit, kListMax);
  std::string after(viewOf(context.getParams().getAfter()));
  std::vector<catalog::GroupPointer> shown;
  bool more = true;
  while (more && shown.size() <= limit) {
    auto page = session_->host().catalog().groupsAfter(after, limit + 1);
    more = page.size() > limit;
    for (const catalog::GroupPointer& group : page) {
      after = group->spec.name;
      if (shown.size() <= limit && session_->mayUse(group->spec.name)) shown.push_back(group);
    }
  }
  bool cut = shown.size() > limit;
  if (cut) shown.resize(limit);
  auto results = context.getResults();
  results.setMore(cut);
  auto groups = results.initGroups(static_cast<unsigned>(shown.size()));
  for (unsigned i = 0; i < groups.size(); ++i) write(*shown[i], groups[i]);
  return kj::READY_NOW;
}

kj::Promise<void> HostService::countGroups(CountGroupsContext context) {
  runtime::Host& host = session_->host();
  context.getResults().setGroups(host.catalog().groupCount());
  context.getResults().setLimit(host.config().groupsMax);
  return kj::READY_NOW;
}

kj::Promise<void> HostService::openCourier(OpenCourierContext context) {
  context.getResults().setCourier(
      kj::heap<CourierService>(kj::addRef(*session_), context.getParams().getReceiver()));
  return kj::READY_NOW;
}

}  // namespace flotilla::api
