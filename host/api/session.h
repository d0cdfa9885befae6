// One logged-in connection.
#pragma once

#include <string>

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
  // `forward` is false for what comes from another host: there is never a second hop.
  Session(runtime::Host& host, runtime::Access access, bool forward)
      : host_(host),
        access_(std::move(access)),
        admission_(kj::refcounted<Admission>()),
        forward_(forward) {}

  runtime::Host& host() const { return host_; }
  bool isOperator() const { return access_.role == runtime::Access::Role::operatorRole; }
  // Operators and other hosts use every group, a client those that its patterns name.
  bool mayUse(const std::string& group) const {
    return access_.role != runtime::Access::Role::client || access_.mayUse(group);
  }
  bool forward() const { return forward_; }
  Admission& admission() { return *admission_; }

private:
  runtime::Host& host_;
  runtime::Access access_;
  kj::Own<Admission> admission_;
  bool forward_;
};

}  // namespace flotilla::api
