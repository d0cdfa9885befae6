// A cluster of fake hosts on pipes: what a client sees, and nothing behind it.
#include "tests/client/fake_cluster.h"

#include <cstring>

#include "sdk/client/fault_text.h"
#include "sdk/client/words.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla::test {
namespace {

using client::exceptionOf;

void fillFault(schema::Fault::Builder out, const Fault& fault) {
  out.setCode(static_cast<schema::ErrorCode>(fault.code));
  out.setAppCode(fault.appCode);
  out.setText(fault.text);
}

class Subscription final : public schema::Subscription::Server {
public:
  kj::Promise<void> wait(WaitContext) override { return kj::NEVER_DONE; }
};

class Group final : public schema::Group::Server {
public:
  Group(FakeCluster& cluster, uint64_t host, std::string name, uint64_t incarnation)
      : cluster_(cluster), host_(host), name_(std::move(name)), incarnation_(incarnation) {}

  kj::Promise<void> submit(SubmitContext context) override {
    auto commands = context.getParams().getCommands();
    FakeGroup& it = group();
    it.batches.push_back(commands.size());
    FakeGroup::Fate fate = it.fates.front();
    if (it.fates.size() > 1) it.fates.erase(it.fates.begin());
    if (fate == FakeGroup::Fate::hang) return kj::NEVER_DONE;
    if (fate == FakeGroup::Fate::loseRequest) {
      cluster_.kill(host_);
      return kj::NEVER_DONE;
    }
    auto outcomes = context.getResults().initOutcomes(commands.size());
    for (unsigned i = 0; i < commands.size(); ++i) run(commands[i], outcomes[i]);
    if (fate == FakeGroup::Fate::loseAnswer) {
      cluster_.kill(host_);
      return kj::NEVER_DONE;
    }
    it.batchesUnderWayMax = std::max(it.batchesUnderWayMax, ++it.batchesUnderWay);
    // Answers a turn later at least, so that batches overlap.
    auto answers = it.delay ? it.delay() : kj::evalLast([]() {});
    return answers.then([this]() { --group().batchesUnderWay; });
  }

  kj::Promise<void> query(QueryContext context) override {
    auto questions = context.getParams().getQuestions();
    group().queries += questions.size();
    auto outcomes = context.getResults().initOutcomes(questions.size());
    for (unsigned i = 0; i < questions.size(); ++i) {
      if (notHere(outcomes[i])) continue;
      setAnswer(outcomes[i], questions[i]);
      outcomes[i].initPosition().setIndex(group().index);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> openSession(OpenSessionContext context) override {
    if (!group().sessionFaults.empty()) {
      Fault fault = std::move(group().sessionFaults.back());
      group().sessionFaults.pop_back();
      return exceptionOf(fault);
    }
    context.getResults().setSession(group().nextSession);
    group().sessions.insert(group().nextSession++);
    return kj::READY_NOW;
  }

  kj::Promise<void> describe(DescribeContext context) override {
    auto description = context.getResults().initDescription();
    description.setName(name_);
    description.setId(group().id);
    description.setIncarnation(incarnation_);
    auto plugin = description.initPlugin();
    if (group().describe) {
      group().describe(plugin);
      return kj::READY_NOW;
    }
    plugin.setName("gate");
    plugin.setInterfaceId(capnp::typeId<schema::Gate>());
    auto methods = plugin.initMethods(1);
    methods[0].setInterfaceId(capnp::typeId<schema::Gate>());
    methods[0].setName("login");
    methods[0].setKind(schema::MethodKind::COMMAND);
    return kj::READY_NOW;
  }

  kj::Promise<void> subscribe(SubscribeContext context) override {
    auto params = context.getParams();
    group().listeners.push_back({host_, params.getTopicPrefix().cStr(),
                                 params.getAfter().getIndex(),
                                 std::make_shared<schema::EventSink::Client>(params.getSink())});
    context.getResults().setSubscription(kj::heap<Subscription>());
    return kj::READY_NOW;
  }

private:
  FakeGroup& group() { return cluster_.groups.at(name_); }

  template <typename Outcome>
  bool notHere(Outcome outcome) {
    FakeGroup& it = group();
    if (it.incarnation != incarnation_) {
      fillFault(outcome.initFault(), {ErrorCode::groupRemoved, "group " + name_ + ": removed", ""});
      return true;
    }
    if (it.leader == host_ || (cluster_.forwards && cluster_.up[it.leader])) return false;
    auto fault = outcome.initFault();
    fillFault(fault, {ErrorCode::notLeader, "group " + name_ + ": led elsewhere", ""});
    if (it.leader != 0) {
      fault.initLeader().setId(it.leader);
      fault.getLeader().setAddress(FakeCluster::addressOf(it.leader));
    }
    return true;
  }

  template <typename Asked>
  void setAnswer(schema::Outcome::Builder outcome, Asked asked) {
    auto params = asked.getParams().asChars();
    if (!group().answer) return outcome.setAnswer(asked.getParams());
    std::string answer = group().answer(asked.getMethod(), {params.begin(), params.size()});
    outcome.setAnswer(
        kj::arrayPtr(reinterpret_cast<const kj::byte*>(answer.data()), answer.size()));
  }

  void run(schema::Command::Reader command, schema::Outcome::Builder outcome) {
    if (notHere(outcome)) return;
    FakeGroup& it = group();
    if (!it.faults.empty()) {
      fillFault(outcome.initFault(), it.faults.front());
      it.faults.erase(it.faults.begin());
      outcome.initPosition().setIndex(it.faultsIndex);
      return;
    }
    auto stamp = command.getStamp();
    auto params = command.getParams().asChars();
    std::pair key(stamp.getSession(), stamp.getSequence());
    if (key.first != 0 && !it.sessions.contains(key.first)) {
      fillFault(outcome.initFault(), {ErrorCode::sessionExpired, "session: not known", ""});
      return;
    }
    if (key.first == 0 || !it.answers.contains(key)) {
      it.applied.push_back({key.first, key.second, stamp.getAcknowledgedBelow(),
                            std::string(params.begin(), params.size())});
      it.answers[key] = ++it.index;
    }
    setAnswer(outcome, command);
    outcome.initPosition().setIndex(it.answers[key]);
  }

  FakeCluster& cluster_;
  uint64_t host_;
  std::string name_;
  uint64_t incarnation_;
};

// Asks each parcel's group as its own capability would, and answers each for itself.
class Courier final : public schema::Courier::Server, private kj::TaskSet::ErrorHandler {
public:
  Courier(FakeCluster& cluster, uint64_t host, schema::CourierReceiver::Client receiver)
      : cluster_(cluster), host_(host), receiver_(kj::mv(receiver)), tasks_(*this) {}

  kj::Promise<void> submit(SubmitContext context) override {
    auto parcels = context.getParams().getParcels();
    cluster_.deliveries.push_back(parcels.size());
    if (cluster_.courierFault) return exceptionOf(*std::exchange(cluster_.courierFault, {}));
    for (auto parcel : parcels) take(parcel);
    return kj::READY_NOW;
  }

private:
  void take(schema::Parcel::Reader parcel) {
    for (const auto& [name, group] : cluster_.groups) {
      if (group.id != parcel.getGroup()) continue;
      schema::Group::Client there = kj::heap<Group>(cluster_, host_, name, parcel.getIncarnation());
      auto request = there.submitRequest();
      request.setCommands(parcel.getCommands());
      tasks_.add(request.send().then([this, number = parcel.getNumber()](auto response) {
        auto delivery = receiver_.deliverRequest();
        auto answer = delivery.initAnswers(1)[0];
        answer.setNumber(number);
        answer.setOutcomes(response.getOutcomes());
        return delivery.send().ignoreResult();
      }));
      return;
    }
    auto delivery = receiver_.deliverRequest();
    auto answer = delivery.initAnswers(1)[0];
    answer.setNumber(parcel.getNumber());
    fillFault(answer.initFault(), {ErrorCode::groupRemoved, "group: removed", ""});
    tasks_.add(delivery.send().ignoreResult());
  }

  void taskFailed(kj::Exception&&) override {}  // the client is gone

  FakeCluster& cluster_;
  uint64_t host_;
  schema::CourierReceiver::Client receiver_;
  kj::TaskSet tasks_;
};

class Host final : public schema::Host::Server {
public:
  Host(FakeCluster& cluster, uint64_t host) : cluster_(cluster), host_(host) {}

  kj::Promise<void> findGroup(FindGroupContext context) override {
    std::string name = context.getParams().getName().cStr();
    auto found = cluster_.groups.find(name);
    if (found == cluster_.groups.end()) {
      return exceptionOf({ErrorCode::noSuchGroup, "group " + name + ": no such group", ""});
    }
    const FakeGroup& group = found->second;
    auto results = context.getResults();
    results.setGroup(kj::heap<Group>(cluster_, host_, name, group.incarnation));
    auto entry = results.initEntry();
    entry.setName(name);
    entry.setId(group.id);
    entry.setIncarnation(group.incarnation);
    if (cluster_.tellsLeader && group.leader != 0) {
      entry.initLeader().setId(group.leader);
      entry.getLeader().setAddress(FakeCluster::addressOf(group.leader));
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> openCourier(OpenCourierContext context) override {
    if (!cluster_.couriers) return schema::Host::Server::openCourier(context);
    context.getResults().setCourier(
        kj::heap<Courier>(cluster_, host_, context.getParams().getReceiver()));
    return kj::READY_NOW;
  }

  kj::Promise<void> countGroups(CountGroupsContext context) override {
    if (cluster_.silent.contains(host_)) return kj::NEVER_DONE;
    context.getResults().setGroups(cluster_.groups.size());
    return kj::READY_NOW;
  }

private:
  FakeCluster& cluster_;
  uint64_t host_;
};

class Admin final : public schema::Admin::Server {
public:
  explicit Admin(FakeCluster& cluster) : cluster_(cluster) {}

  kj::Promise<void> clusterStatus(ClusterStatusContext context) override {
    ++cluster_.statusAsked;
    if (cluster_.statusFault) return exceptionOf(*std::exchange(cluster_.statusFault, {}));
    context.getResults().initStatus().setCluster("fake");
    return kj::READY_NOW;
  }

private:
  FakeCluster& cluster_;
};

class Gate final : public schema::Gate::Server {
public:
  Gate(FakeCluster& cluster, uint64_t host) : cluster_(cluster), host_(host) {}

  kj::Promise<void> login(LoginContext context) override {
    if (context.getParams().getToken() != cluster_.token.c_str()) {
      return exceptionOf({ErrorCode::denied, "token: not one of ours", ""});
    }
    auto session = context.getResults().initSession();
    session.setRole(schema::Role::OPERATOR);
    session.setHost(kj::heap<Host>(cluster_, host_));
    session.setAdmin(kj::heap<Admin>(cluster_));
    session.setHostId(host_);
    session.setCluster("fake");
    auto hosts = session.initHosts(static_cast<unsigned>(cluster_.up.size()));
    unsigned at = 0;
    for (const auto& [id, isUp] : cluster_.up) {
      hosts[at].setId(id);
      hosts[at++].setAddress(FakeCluster::addressOf(id));
    }
    return kj::READY_NOW;
  }

private:
  FakeCluster& cluster_;
  uint64_t host_;
};

}  // namespace

struct FakeCluster::Connection {
  uint64_t host;
  kj::Own<kj::AsyncIoStream> stream;
  kj::Maybe<capnp::TwoPartyClient> server;

  Connection(FakeCluster& cluster, uint64_t its, kj::Own<kj::AsyncIoStream> end)
      : host(its), stream(kj::mv(end)) {
    server.emplace(*stream, kj::heap<Gate>(cluster, its), capnp::rpc::twoparty::Side::SERVER);
  }
};

FakeCluster::FakeCluster(uint64_t hosts) {
  for (uint64_t host = 1; host <= hosts; ++host) up[host] = true;
}

FakeCluster::~FakeCluster() noexcept(false) = default;

kj::Promise<kj::Own<kj::AsyncIoStream>> FakeCluster::connect(kj::StringPtr address) {
  for (const auto& [host, isUp] : up) {
    if (address != addressOf(host).c_str() || !isUp) continue;
    ++connections[host];
    auto pipe = kj::newTwoWayPipe();
    open.push_back(kj::heap<Connection>(*this, host, kj::mv(pipe.ends[0])));
    return kj::mv(pipe.ends[1]);
  }
  return KJ_EXCEPTION(DISCONNECTED, "connection refused", address);
}

kj::Promise<void> FakeCluster::serve(kj::ConnectionReceiver& receiver) {
  return receiver.accept().then([this, &receiver](kj::Own<kj::AsyncIoStream> stream) {
    open.push_back(kj::heap<Connection>(*this, 1, kj::mv(stream)));
    return serve(receiver);
  });
}

// From inside one of its own calls too, so the connections go a turn later.
void FakeCluster::kill(uint64_t host) {
  up[host] = false;
  std::vector<kj::Own<Connection>> dead;
  for (auto it = open.begin(); it != open.end();) {
    if ((*it)->host == host) {
      dead.push_back(kj::mv(*it));
      it = open.erase(it);
    } else {
      ++it;
    }
  }
  kj::evalLater([dead = std::move(dead)]() {}).detach([](kj::Exception&&) {});
}

void FakeCluster::revive(uint64_t host) {
  up[host] = true;
}

}  // namespace flotilla::test
