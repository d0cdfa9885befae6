// /metrics, /healthz and /readyz.
#include "host/api/http.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <utility>
#include <vector>

#include "host/api/services.h"
#include "host/base/log.h"

namespace flotilla::api {
namespace {

constexpr kj::uint kOk = 200;
constexpr kj::uint kNotFound = 404;
constexpr kj::uint kMethodNotAllowed = 405;
constexpr kj::uint kUnavailable = 503;

kj::StringPtr phraseOf(kj::uint status) {
  switch (status) {
    case kOk:
      return "OK";
    case kNotFound:
      return "Not Found";
    case kMethodNotAllowed:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

prometheus::MetricFamily family(const char* name, const char* help, prometheus::MetricType type,
                                uint64_t value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = static_cast<double>(value);
  } else {
    metric.gauge.value = static_cast<double>(value);
  }
  prometheus::MetricFamily made;
  made.name = std::string("flotilla_") + name;
  made.help = help;
  made.type = type;
  made.metric.push_back(std::move(metric));
  return made;
}

}  // namespace

std::string metricsText(const runtime::Figures& figures, bool ready) {
  constexpr auto kGauge = prometheus::MetricType::Gauge;
  constexpr auto kCounter = prometheus::MetricType::Counter;
  const std::vector<prometheus::MetricFamily> families = {
      family("ready", "1 once the host serves what it held at its start", kGauge, ready ? 1 : 0),
      family("replicas", "replicas on this host", kGauge, figures.replicas),
      family("replicas_leading", "replicas that lead their group", kGauge, figures.leading),
      family("replicas_asleep", "replicas whose group sleeps", kGauge, figures.asleep),
      family("replicas_faulted", "replicas that have stopped", kGauge, figures.faulted),
      family("workers_stuck", "apply workers that a machine holds up", kGauge, figures.stuck),
      family("commands_answered_total", "calls answered", kCounter, figures.commandsAnswered),
      family("queries_answered_total", "queries answered", kCounter, figures.queriesAnswered),
      family("calls_refused_total", "calls refused or ended badly", kCounter, figures.callsRefused),
      family("disk_frames_total", "frames written to the logs", kCounter, figures.diskFrames),
      family("disk_syncs_total", "times the disk was waited for", kCounter, figures.diskSyncs),
      family("disk_bytes_total", "bytes written to the logs", kCounter, figures.diskBytes),
      family("disk_queued_bytes", "bytes that wait for the disk", kGauge, figures.diskQueuedBytes),
      family("peer_frames_total", "frames sent to other hosts", kCounter, figures.peerFramesSent),
      family("peer_messages_dropped_total", "messages dropped on full queues", kCounter,
             figures.peerMessagesDropped),
      family("uptime_milliseconds", "since this process began", kGauge, figures.uptimeMs),
      family("memory_bytes", "resident memory", kGauge, figures.memoryBytes),
  };
  return prometheus::TextSerializer().Serialize(families);
}

kj::Promise<void> WatchPages::request(kj::HttpMethod method, kj::StringPtr url,
                                      const kj::HttpHeaders&, kj::AsyncInputStream&,
                                      Response& response) {
  if (method != kj::HttpMethod::GET && method != kj::HttpMethod::HEAD) {
    return answer(response, kMethodNotAllowed, "only GET and HEAD\n");
  }
  if (url == "/healthz") return answer(response, kOk, "ok\n");
  if (url == "/readyz") {
    if (host_.ready()) return answer(response, kOk, "ready\n");
    return answer(response, kUnavailable, host_.notReadyBecause() + "\n");
  }
  if (url == "/metrics") {
    return answer(response, kOk, metricsText(host_.figures(), host_.ready()));
  }
  return answer(response, kNotFound, "there are /metrics, /healthz and /readyz\n");
}

kj::Promise<void> WatchPages::answer(Response& response, kj::uint status, std::string text) {
  kj::HttpHeaders headers(table_);
  headers.set(kj::HttpHeaderId::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
  auto held = kj::heap<std::string>(std::move(text));
  auto body = response.send(status, phraseOf(status), headers, held->size());
  auto written = body->write(held->data(), held->size());
  return written.attach(kj::mv(body), kj::mv(held));
}

// The server with all that it needs, in the order in which it may go.
struct HttpParts {
  kj::HttpHeaderTable table;
  WatchPages pages;
  kj::HttpServer server;

  explicit HttpParts(runtime::Host& host)
      : pages(host, table), server(host.timer(), table, pages) {}
};

kj::Promise<void> Services::serveHttp(kj::AsyncIoContext& io) {
  std::string at = host_.config().http;
  if (at.empty()) return kj::READY_NOW;
  auto served = io.provider->getNetwork()
                    .parseAddress(at.c_str())
                    .then([this](kj::Own<kj::NetworkAddress> address) {
                      auto port = address->listen();
                      auto parts = kj::heap<HttpParts>(host_);
                      auto listening = parts->server.listenHttp(*port);
                      return listening.attach(kj::mv(port), kj::mv(parts));
                    });
  // Those who watch may be blind for a while; the host itself goes on.
  return kj::mv(served)
      .catch_([at](kj::Exception&& exception) {
        base::logError("http: " + at + ": " + exception.getDescription().cStr() +
                       "; /metrics, /healthz and /readyz are not served");
      })
      .eagerlyEvaluate(nullptr);
}

}  // namespace flotilla::api
