// Who gets what at the door.
#include "host/api/gate.h"

#include <string>

#include <doctest/doctest.h>
#include <kj/async.h>

#include "host/api/faults.h"
#include "sdk/client/message_pipe.h"

namespace flotilla::api {
namespace {

using Role = runtime::Access::Role;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
class NobodysHost final : public schema::Host::Server {};
class NobodysGroup final : public schema::Group::Server {};
#pragma GCC diagnostic pop

struct Seen {
  int loggedIn = 0;
  Role role = Role::client;
};

class FakeVisitor final : public runtime::Visitor {
public:
  explicit FakeVisitor(Seen& seen) : seen_(seen) {}
  const std::string& address() const override { return address_; }
  const std::string& certificateName() const override { return nobody_; }
  size_t unsentBytes() const override { return 7; }
  kj::Own<client::SharedPipe> pipe() override { return kj::refcounted<client::SharedPipe>(); }
  void loggedIn(Role role) override {
    ++seen_.loggedIn;
    seen_.role = role;
  }

private:
  Seen& seen_;
  std::string address_ = "127.0.0.1:1";
  std::string nobody_;
};

// A gate before a house with a token for each role.
struct Door {
  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  Seen seen;
  House house = makeHouse();
  schema::Gate::Client gate = kj::heap<Gate>(house, kj::heap<FakeVisitor>(seen));

  // Another connection.
  void next() { gate = kj::heap<Gate>(house, kj::heap<FakeVisitor>(seen)); }

  static House makeHouse() {
    return House{
        .access = [](kj::StringPtr token) -> Result<runtime::Access> {
          if (token == "client") return runtime::Access{Role::client, {"a*"}};
          if (token == "operator") return runtime::Access{Role::operatorRole, {}};
          if (token == "peer") return runtime::Access{Role::peer, {}};
          return Fault{ErrorCode::denied, "login: wrong token", ""};
        },
        .host = [](const runtime::Access&,
                   const std::function<size_t()>& unsentBytes) -> schema::Host::Client {
          CHECK(unsentBytes() == 7);
          return kj::heap<NobodysHost>();
        },
        .admin = [](const runtime::Access&) -> capnp::Capability::Client {
          return schema::Group::Client(kj::heap<NobodysGroup>());
        },
        .peer = [](runtime::Visitor&) -> capnp::Capability::Client {
          return schema::Group::Client(kj::heap<NobodysGroup>());
        },
        .hosts =
            []() {
              return std::vector<std::pair<uint64_t, std::string>>{{1, "a:1"}, {2, "b:2"}};
            },
        .hostId = 1,
        .cluster = "demo",
        .version = "0",
    };
  }

  capnp::Response<schema::Gate::LoginResults> login(const char* token) {
    auto request = gate.loginRequest();
    request.setToken(token);
    return request.send().wait(scope);
  }
  std::string refused(const char* token) {
    std::string text;
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { login(token); })) {
      text = exception->getDescription().cStr();
    }
    return text;
  }
};

}  // namespace

TEST_CASE("api/gate: a connection logs in once") {
  Door door;
  door.login("client");
  CHECK(door.refused("operator") ==
        "flotilla/badRequest: login: this connection has logged in already; open another for "
        "another token");
  CHECK(door.seen.loggedIn == 1);
}

TEST_CASE("api/gate: each role is given what is its own and nothing else") {
  Door door;
  auto client = door.login("client");
  CHECK(client.getSession().getRole() == schema::Role::CLIENT);
  CHECK(client.getSession().hasHost());
  CHECK_FALSE(client.getSession().hasAdmin());
  CHECK_FALSE(client.getSession().hasPeer());
  CHECK((door.seen.role == Role::client));
  door.next();
  auto admin = door.login("operator");
  CHECK(admin.getSession().hasHost());
  CHECK(admin.getSession().hasAdmin());
  CHECK_FALSE(admin.getSession().hasPeer());
  door.next();
  auto peer = door.login("peer");
  CHECK(peer.getSession().hasPeer());
  CHECK_FALSE(peer.getSession().hasHost());
  CHECK_FALSE(peer.getSession().hasAdmin());
  CHECK((door.seen.role == Role::peer));
  REQUIRE(peer.getSession().getHosts().size() == 2);
  CHECK(std::string(peer.getSession().getHosts()[1].getAddress().cStr()) == "b:2");
}

TEST_CASE("api/gate: a wrong token is denied, and after five of them a right one as well") {
  Door door;
  for (int i = 0; i < Gate::kWrongMax; ++i) {
    CHECK(door.refused("operater") == "flotilla/denied: login: wrong token");
  }
  CHECK(door.seen.loggedIn == 0);
  CHECK(door.refused("operator") ==
        "flotilla/denied: login: too many wrong tokens on this connection; connect again");
  CHECK(door.seen.loggedIn == 0);
}

}  // namespace flotilla::api
