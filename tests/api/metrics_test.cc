// /metrics as Prometheus reads it.
#include <doctest/doctest.h>

#include "host/api/http.h"

namespace flotilla::api {

TEST_CASE("api/http: metrics are named, typed, and carry the host's figures") {
  runtime::Figures figures;
  figures.replicas = 7;
  figures.diskSyncs = 12345;
  std::string text = metricsText(figures, true);
  CHECK(text.find("# TYPE flotilla_replicas gauge\nflotilla_replicas 7\n") != std::string::npos);
  CHECK(text.find("# TYPE flotilla_disk_syncs_total counter\nflotilla_disk_syncs_total 12345\n") !=
        std::string::npos);
  CHECK(text.find("\nflotilla_ready 1\n") != std::string::npos);
  CHECK(metricsText(figures, false).find("\nflotilla_ready 0\n") != std::string::npos);
}

TEST_CASE("api/http: histograms say seconds, busy groups have rows, all others one") {
  runtime::Figures figures;
  figures.groups.applyUs.add(900);
  figures.groups.applyUs.add(100'000'000);
  figures.groups.entryCommands.add(3);
  figures.others.commands = 40;
  figures.busy.push_back({.name = "orders", .group = 7, .leads = true, .logBytes = 5});
  figures.busy.back().meters.commands = 60;
  std::string text = metricsText(figures, true);
  auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  CHECK(has("flotilla_apply_seconds_bucket{le=\"0.001023\"} 1\n"));
  CHECK(has("flotilla_apply_seconds_bucket{le=\"+Inf\"} 2\n"));
  CHECK(has("flotilla_apply_seconds_count 2\n"));
  CHECK(has("flotilla_entry_commands_bucket{le=\"1\"} 0\n"));
  CHECK(has("flotilla_entry_commands_bucket{le=\"3\"} 1\n"));
  CHECK(has("flotilla_group_commands_total{group=\"orders\"} 60\n"));
  CHECK(has("flotilla_group_commands_total{group=\"*\"} 40\n"));
  CHECK(has("flotilla_group_log_bytes{group=\"orders\"} 5\n"));
}

}  // namespace flotilla::api
