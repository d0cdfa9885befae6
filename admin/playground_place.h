// Where a playground lies on this machine, and how commands find it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/flotilla/result.h"

namespace flotilla::admin {

// One playground: a folder with a folder for each host, and the secrets beside them.
//
// DIR/playground        what it was started with: hosts and ports
// DIR/operator.token    DIR/client.token    DIR/peer.token
// DIR/host-N/           config.toml, host.log, pid, data/
struct PlaygroundPlace {
  std::string dir;  // absolute
  uint64_t hosts = 0;
  uint64_t basePort = 0;
  std::vector<std::string> addresses;  // host N's at N-1

  std::string operatorToken() const { return dir + "/operator.token"; }
  std::string clientToken() const { return dir + "/client.token"; }
  std::string peerToken() const { return dir + "/peer.token"; }
  std::string hostDir(uint64_t host) const { return dir + "/host-" + std::to_string(host); }
  std::string configFile(uint64_t host) const { return hostDir(host) + "/config.toml"; }
  std::string logFile(uint64_t host) const { return hostDir(host) + "/host.log"; }
  std::string pidFile(uint64_t host) const { return hostDir(host) + "/pid"; }
  std::string httpAddress(uint64_t host) const;
};

PlaygroundPlace placeOf(const std::string& dir, uint64_t hosts, uint64_t basePort);

// The playground in that folder; a fault where there is none.
Result<PlaygroundPlace> readPlayground(const std::string& dir);
Result<void> writePlayground(const PlaygroundPlace& place);

// The one that commands use without being told: ./playground, else the one started last, whose
// folder stands in ~/.flotilla/playground.
std::optional<PlaygroundPlace> findPlayground();
// Makes that one this; a home folder that cannot be written to is no reason to stop.
void rememberPlayground(const PlaygroundPlace& place);

}  // namespace flotilla::admin
