// /metrics, /healthz and /readyz.
#include "host/api/http.h"

#include <limits>
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

// Buckets of microseconds as seconds, or of plain numbers (`unit` 1).
prometheus::MetricFamily histogram(const char* name, const char* help, const base::Buckets& from,
                                   double unit) {
  prometheus::ClientMetric metric;
  uint64_t upTo = 0;
  for (size_t i = 0; i < base::Buckets::kCount; ++i) {
    upTo += from.at(i);
    bool last = i + 1 == base::Buckets::kCount;
    double limit = last ? std::numeric_limits<double>::infinity()
                        : static_cast<double>(base::Buckets::limitOf(i)) * unit;
    metric.histogram.bucket.push_back({upTo, limit});
  }
  metric.histogram.sample_count = upTo;
  metric.histogram.sample_sum = static_cast<double>(from.sum()) * unit;
  prometheus::MetricFamily made;
  made.name = std::string("flotilla_") + name;
  made.help = help;
  made.type = prometheus::MetricType::Histogram;
  made.metric.push_back(std::move(metric));
  return made;
}

// One row for each busy group by name, and where `others` is given one for all that are not.
prometheus::MetricFamily byGroup(const char* name, const char* help, prometheus::MetricType type,
                                 const runtime::Figures& figures,
                                 uint64_t (*valueOf)(const runtime::BusyFigures&),
                                 const group::Meters* others) {
  prometheus::MetricFamily made = family(name, help, type, 0);
  made.metric.clear();
  auto add = [&](const std::string& group, const runtime::BusyFigures& its) {
    prometheus::ClientMetric metric = family(name, help, type, valueOf(its)).metric.front();
    metric.label.push_back({"group", group});
    made.metric.push_back(std::move(metric));
  };
  for (const runtime::BusyFigures& each : figures.busy) add(each.name, each);
  // No group has a name with a star.
  if (others != nullptr) add("*", {.meters = *others});
  return made;
}

constexpr double kMicro = 1e-6;

}  // namespace

std::string metricsText(const runtime::Figures& figures, bool ready) {
  constexpr auto kGauge = prometheus::MetricType::Gauge;
  constexpr auto kCounter = prometheus::MetricType::Counter;
  std::vector<prometheus::MetricFamily> families = {
      family("ready", "1 once the host serves what it held at its start", kGauge, ready ? 1 : 0),
      family("replicas", "replicas on this host", kGauge, figures.replicas),
      family("replicas_leading", "replicas that lead their group", kGauge, figures.leading),
      family("replicas_leaderless", "replicas that know no leader", kGauge, figures.leaderless),
      family("replicas_asleep", "replicas whose group sleeps", kGauge, figures.asleep),
      family("replicas_faulted", "replicas that have stopped", kGauge, figures.faulted),
      family("replicas_quarantined", "replicas that differ from a majority and wait to be rebuilt",
             kGauge, figures.quarantined),
      family("replicas_rebuilding", "replicas that are being built anew from a peer's snapshot",
             kGauge, figures.rebuilding),
      family("groups_digests_split", "led groups whose last digest check had no majority", kGauge,
             figures.digestsSplit),
      family("groups_over_quota", "led groups whose quotas have calls refused", kGauge,
             figures.overQuota),
      family("calls_over_memory_total", "commands refused by a group's quota of memory", kCounter,
             figures.groups.overMemory),
      family("calls_over_time_total", "calls refused by a group's quota of apply time", kCounter,
             figures.groups.overTime),
      family("calls_over_rate_total", "calls refused by a group's quota of calls a second",
             kCounter, figures.groups.overRate),
      family("elections_total", "times a replica here stood for election", kCounter,
             figures.elections),
      family("elections_won_total", "times it won", kCounter, figures.electionsWon),
      family("machine_bytes", "memory of all machines, as they say", kGauge, figures.machineBytes),
      family("workers_stuck", "apply workers that a machine holds up", kGauge, figures.stuck),
      family("commands_total", "commands put into entries here", kCounter, figures.groups.commands),
      family("queries_total", "queries taken here", kCounter, figures.groups.queries),
      family("calls_answered_total", "calls answered well", kCounter, figures.callsAnswered),
      family("calls_refused_total", "calls refused or ended badly", kCounter, figures.callsRefused),
      family("disk_frames_total", "frames written to the logs", kCounter, figures.diskFrames),
      family("disk_syncs_total", "times the disk was waited for", kCounter, figures.diskSyncs),
      family("disk_bytes_total", "bytes written to the logs", kCounter, figures.diskBytes),
      family("disk_queued_bytes", "bytes that wait for the disk", kGauge, figures.diskQueuedBytes),
      family("peer_frames_total", "frames sent to other hosts", kCounter, figures.peerFramesSent),
      family("peer_messages_total", "messages of groups in them", kCounter,
             figures.peerMessagesSent),
      family("peer_messages_dropped_total", "messages dropped on full queues", kCounter,
             figures.peerMessagesDropped),
      family("uptime_milliseconds", "since this process began", kGauge, figures.uptimeMs),
      family("memory_bytes", "resident memory", kGauge, figures.memoryBytes),
      family("calls_waiting", "calls that have not been answered yet", kGauge,
             figures.callsWaiting),
      family("apply_lanes_queued", "machines that wait for an apply worker", kGauge,
             figures.applyLanesQueued),
      family("peer_queued_bytes", "bytes that wait to be sent to other hosts", kGauge,
             figures.peerQueuedBytes),
      histogram("commit_seconds", "from an entry made by its leader to its being committed",
                figures.groups.commitUs, kMicro),
      histogram("apply_seconds", "from an entry made by its leader to its being applied there",
                figures.groups.applyUs, kMicro),
      histogram("entry_commands", "commands in an entry", figures.groups.entryCommands, 1),
      histogram("disk_sync_seconds", "to write and sync a frame", figures.diskSyncUs, kMicro),
      histogram("disk_frame_groups", "groups in a frame", figures.diskFrameGroups, 1),
      byGroup(
          "group_commands_total", "commands put into entries; * are all other groups", kCounter,
          figures, [](const runtime::BusyFigures& it) { return it.meters.commands; },
          &figures.others),
      byGroup(
          "group_queries_total", "queries taken; * are all other groups", kCounter, figures,
          [](const runtime::BusyFigures& it) { return it.meters.queries; }, &figures.others),
      byGroup(
          "group_log_bytes", "entries in the log of a busy group, roughly", kGauge, figures,
          [](const runtime::BusyFigures& it) { return it.logBytes; }, nullptr),
  };
  // A family without a row is no family.
  std::erase_if(families, [](const prometheus::MetricFamily& it) { return it.metric.empty(); });
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

constexpr size_t kWatchersMax = 64;  // connections; each is closed soon after it has its page
constexpr auto kAcceptAgain = 100 * kj::MILLISECONDS;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none

// The server with all that it needs, in the order in which it may go. Nobody who comes to this port
// has a secret, so there are few at a time, and none of them ends it.
struct HttpParts final : kj::TaskSet::ErrorHandler {
  explicit HttpParts(runtime::Host& host)
      : timer(host.timer()), pages(host, table), server(host.timer(), table, pages), open(*this) {}

  kj::Promise<void> acceptFrom(kj::ConnectionReceiver& port) {
    return port.accept()
        .then(
            [this](kj::Own<kj::AsyncIoStream> stream) -> kj::Promise<void> {
              if (openCount >= kWatchersMax) return kj::READY_NOW;  // and so it is closed
              ++openCount;
              open.add(
                  server.listenHttp(kj::mv(stream)).attach(kj::defer([this]() { --openCount; })));
              return kj::READY_NOW;
            },
            // Out of file descriptors, most likely: connections that end give some back.
            [this](kj::Exception&&) { return timer.afterDelay(kAcceptAgain); })
        .then([this, &port]() { return acceptFrom(port); });
  }
  void taskFailed(kj::Exception&&) override {}  // one connection's end

  kj::Timer& timer;
  kj::HttpHeaderTable table;
  WatchPages pages;
  kj::HttpServer server;
  size_t openCount = 0;
  kj::TaskSet open;
};

#pragma GCC diagnostic pop

kj::Promise<void> Services::serveHttp(kj::AsyncIoContext& io) {
  std::string at = host_.config().http;
  if (at.empty()) return kj::READY_NOW;
  auto served = io.provider->getNetwork()
                    .parseAddress(at.c_str())
                    .then([this](kj::Own<kj::NetworkAddress> address) {
                      auto port = address->listen();
                      auto parts = kj::heap<HttpParts>(host_);
                      auto listening = parts->acceptFrom(*port);
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
