// One logged-in connection.
#pragma once

#include <string>

#include <kj/function.h>
#include <kj/memory.h>
#include <kj/refcount.h>

#include "host/api/admission.h"
#include "host/runtime/host.h"

namespace flotilla::api {

// Whom a capability serves: what the caller may do, how much the connection has under way, and
// whether its calls may be carried to another host. Shared by all capabilities of a connection.
//
// Owner:  shared by those capabilities. `host` outlives it.
// Thread: the loop's.
// Errors: none.
class Session final : public kj::Refcounted {
public:
  // Of a client or an operator. `unsentBytes`: of messages to it that have not left.
  Session(runtime::Host& host, runtime::Access access, kj::Function<size_t()> unsentBytes)
      : host_(host),
        access_(std::move(access)),
        admission_(kj::refcounted<Admission>(kj::mv(unsentBytes))),
        forward_(true) {}
  // Of other hosts: there is never a second hop. What they forward counts where it came in; one
  // bound for it here would let a single client shut out all others.
  explicit Session(runtime::Host& host)
      : host_(host),
        access_{runtime::Access::Role::peer, {}},
        admission_(kj::refcounted<Admission>(Admission::Boundless())),
        forward_(false) {}

  runtime::Host& host() const { return host_; }
  bool isOperator() const { return access_.role == runtime::Access::Role::operatorRole; }
  // Operators and other hosts use every group, a client those that its patterns name.
  bool mayUse(const std::string& group) const {
    return access_.role != runtime::Access::Role::client || access_.mayUse(group);
  }
  bool forward() const { return forward_; }
  Admission& admission() { return *admission_; }

  // A place among those subscriptions that the connection may have; null: there is none left.
  static constexpr size_t kListeningMax = 1024;
  class Listening {
  public:
    explicit Listening(kj::Own<Session> session) : session_(kj::mv(session)) {
      ++session_->listening_;
    }
    ~Listening() { --session_->listening_; }
    KJ_DISALLOW_COPY(Listening);

  private:
    kj::Own<Session> session_;
  };
  kj::Maybe<kj::Own<Listening>> listen() {
    if (forward_ && listening_ >= kListeningMax) return nullptr;
    return kj::heap<Listening>(kj::addRef(*this));
  }

private:
  runtime::Host& host_;
  runtime::Access access_;
  kj::Own<Admission> admission_;
  bool forward_;  // to another host, once
  size_t listening_ = 0;
};

}  // namespace flotilla::api
