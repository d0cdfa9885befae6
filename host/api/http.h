// /metrics, /healthz and /readyz.
#pragma once

#include <string>

#include <kj/async-io.h>
#include <kj/compat/http.h>

#include "host/runtime/host.h"

namespace flotilla::api {

// What /metrics shows, in Prometheus' text format.
std::string metricsText(const runtime::Figures& figures, bool ready);

// KJ's services are disposed of by what made them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

// Three pages for machines that watch machines; whoever reaches the port may read them.
//
// Owner:  Services, for the time of serveHttp. `host` outlives it.
// Thread: the loop's.
// Errors: none; other paths are 404, other methods 405.
class WatchPages final : public kj::HttpService {
public:
  WatchPages(runtime::Host& host, const kj::HttpHeaderTable& table) : host_(host), table_(table) {}

  kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url,
                            const kj::HttpHeaders& headers, kj::AsyncInputStream& body,
                            Response& response) override;

private:
  kj::Promise<void> answer(Response& response, kj::uint status, std::string text);

  runtime::Host& host_;
  const kj::HttpHeaderTable& table_;
};

#pragma GCC diagnostic pop

}  // namespace flotilla::api
