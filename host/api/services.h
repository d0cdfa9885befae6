// What a host gives to those who connect to it.
#pragma once

#include <kj/async-io.h>

#include "host/api/catalog_commands.h"
#include "host/api/gate.h"
#include "host/api/session.h"
#include "host/api/status_gather.h"
#include "host/runtime/host.h"

namespace flotilla::api {

// Makes gates for connections and groups for other hosts, and serves HTTP.
//
// Owner:  main, or a test, beside `host`, which it refers to. Outlives the host's connections.
// Thread: the loop's.
// Errors: none; an http address that cannot be listened to is logged.
class Services {
public:
  explicit Services(runtime::Host& host);
  KJ_DISALLOW_COPY(Services);

  // For Host::start.
  runtime::Host::Services forHost();
  // /metrics, /healthz and /readyz on the file's `http`; for ever, and nothing where there is none.
  kj::Promise<void> serveHttp(kj::AsyncIoContext& io);

private:
  House house();

  runtime::Host& host_;
  CatalogCommands commands_;
  StatusRounds rounds_;
  House house_;
  kj::Own<Session> peers_;  // what other hosts have admitted and forward; goes no further
};

}  // namespace flotilla::api
