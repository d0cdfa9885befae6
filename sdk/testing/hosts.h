// Hosts of a cluster within this process, for tests: the part of them that a test sees.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace flotilla::testing {

struct HostsOptions {
  uint32_t count = 3;   // ids from 1
  std::string checker;  // flotilla-plugin-check, which looks at a pushed plugin in a child process
};

// Founds a cluster in a temporary directory, each host on a thread of its own and on a free port of
// the loopback. They are whole hosts: what is killed leaves on disk what a process would leave, and
// starts again from that. What they log goes to `directory()`/hosts.log.
//
// Owner:  Cluster, or a test.
// Thread: one, that of its owner.
// Errors: throws std::runtime_error with the host's own line. Asking for a host that there is not,
//         or that does not run, is one, too.
// Time:   the constructor returns once all serve, or throws after ten seconds.
class __attribute__((visibility("default"))) Hosts {
public:
  explicit Hosts(HostsOptions options);
  ~Hosts();
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  std::vector<uint64_t> ids() const;
  std::vector<std::string> addresses() const;  // host:port of each
  const std::string& token() const;            // an operator's
  // Removed at the end, unless the test has failed by then: by an exception that is under way.
  const std::string& directory() const;

  bool runs(uint64_t host) const;
  bool ready(uint64_t host) const;
  void start(uint64_t host);  // returns once it listens; `ready` comes with the others
  void stop(uint64_t host);   // in good order: leaderships handed over, snapshots saved
  void kill(uint64_t host);   // as if its process had been: connections break, nothing is said

private:
  class Running;
  struct Parts;

  std::unique_ptr<Running>& at(uint64_t host) const;

  std::unique_ptr<Parts> parts_;
};

}  // namespace flotilla::testing
