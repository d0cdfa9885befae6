// host.toml, read and judged.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::runtime {

struct Volume {
  std::string name;  // "default" is the data directory itself
  std::string path;
};

// A group that the founding creates, from a [[group]] table.
struct DeclaredGroup {
  std::string name;
  std::string plugin;
  std::vector<uint64_t> on;
  std::vector<uint64_t> learners;
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> config;
};

// A secret that lets clients in, and the groups it opens.
struct ClientSecret {
  std::string tokenFile;
  std::vector<std::string> groups;  // names, a trailing * stands for any rest
};

// What host.toml says, defaults filled in, paths made absolute from the file's folder. See DESIGN
// §9 for the keys; this struct has one member for each.
struct Config {
  std::string file;

  uint64_t hostId = 0;
  std::string listen;
  std::string http;  // empty: none
  std::string dataDir;
  std::string log;  // empty: stderr
  std::string logLevel = "info";
  bool insecure = false;

  std::string clusterName;
  std::map<uint64_t, std::string> founders;  // host id → host:port
  std::string defaultGroup;
  std::string operatorTokenFile;  // default data_dir/operator.token, made by --init
  std::string peerTokenFile;      // default: see defaultPeerToken
  std::vector<ClientSecret> clients;
  uint64_t groupsMax = 20'000;

  std::vector<Volume> volumes;  // the default one first
  uint64_t ballastBytes = 16 << 20;
  uint64_t generationBytes = 32 << 20;
  uint64_t snapshotBytesPerSecond = 128 << 20;  // of saving, and of sending to a host; 0: any
  bool preallocate = true;                      // journals are laid out ahead

  std::string trusted = "operators";  // or "", or "hashes"
  std::vector<std::string> trustedHashes;
  std::vector<std::string> pluginDirs;  // where [[group]] plugins are looked for at the founding

  std::string tlsCert, tlsKey, tlsCa;  // all or none

  uint32_t loops = 1;
  uint32_t applyWorkers = 2;

  std::vector<DeclaredGroup> groups;

  // Not in the file: the program that looks at a plugin in a child process; empty: flotilla-host.
  std::string checker;

  bool tls() const { return !tlsCert.empty(); }
};

// Reads and judges the file. A fault names file, line and column or key, what was found there and
// what to write instead.
Result<Config> readConfig(const std::string& file);

// The same for a text that is not in a file; `file` is only named in faults, and its folder is
// where relative paths start.
Result<Config> parseConfig(const std::string& text, const std::string& file);

// Where the peers' secret of a cluster that lives on this machine alone (every founder on loopback)
// is kept when the file names none: in the user's own folder, so that all hosts of the cluster
// find the same one.
std::string defaultPeerToken(const std::string& clusterName);

}  // namespace flotilla::runtime
