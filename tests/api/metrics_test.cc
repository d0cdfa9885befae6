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

}  // namespace flotilla::api
