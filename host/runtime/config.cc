// host.toml, read and judged: unknown keys and wrong types are faults with line and column.
#include "host/runtime/config.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>

#include "host/runtime/config_section.h"

namespace flotilla::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFoundersMax = 7;

const toml::table* tableOf(Reading& reading, Section& root, const char* name) {
  const toml::node* node = root.get(name);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) {
    reading.refuse(name, *node, "found " + typeOf(*node) + "; write [" + std::string(name) + "]");
    return nullptr;
  }
  return node->as_table();
}

std::string absolute(const std::string& file, const std::string& path) {
  if (path.empty()) return path;
  fs::path at(path);
  if (at.is_absolute()) return at.lexically_normal().string();
  return (fs::absolute(fs::path(file)).parent_path() / at).lexically_normal().string();
}

void checkAddress(Reading& reading, const std::string& key, const toml::node* node,
                  const std::string& address) {
  const toml::source_region* where = node == nullptr ? nullptr : &node->source();
  std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size() || colon == 0) {
    reading.refuse(key, where, "\"" + address + "\": no port; write it as host:port");
    return;
  }
  std::string port = address.substr(colon + 1);
  bool digits =
      std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c); });
  if (!digits || port.size() > 5 || std::stoul(port) > 65535 || std::stoul(port) == 0) {
    reading.refuse(key, where, "\"" + address + "\": port " + port + "; write one from 1 to 65535");
  }
}

bool onLoopback(const std::string& address) {
  return address.rfind("127.", 0) == 0 || address.rfind("localhost:", 0) == 0 ||
         address.rfind("[::1]:", 0) == 0;
}

void readHost(Reading& reading, Section& root, Config& config) {
  Section host(reading, tableOf(reading, root, "host"), "host");
  if (host.table() == nullptr)
    reading.refuse("host", nullptr, "no [host] table; write id, listen, data_dir");
  if (host.get("id") == nullptr) {
    reading.refuse("host.id", nullptr, "missing; write this host's number, never used by another");
  }
  host.number("id", config.hostId, 1, kHostIdMax);
  host.text("listen", config.listen);
  host.text("http", config.http);
  host.text("data_dir", config.dataDir);
  host.text("log", config.log);
  host.text("log_level", config.logLevel);
  host.flag("insecure", config.insecure);
  if (config.listen.empty()) {
    reading.refuse("host.listen", nullptr, "missing; write the host:port for clients and peers");
  } else {
    checkAddress(reading, "host.listen", host.get("listen"), config.listen);
  }
  if (!config.http.empty()) checkAddress(reading, "host.http", host.get("http"), config.http);
  if (config.dataDir.empty()) {
    reading.refuse("host.data_dir", nullptr, "missing; write the directory this host may fill");
  }
  static const std::set<std::string> kLevels = {"trace", "debug", "info", "warn", "error"};
  if (kLevels.count(config.logLevel) == 0) {
    reading.refuse("host.log_level", *host.get("log_level"),
                   "\"" + config.logLevel + "\"; write trace, debug, info, warn or error");
  }
  host.end();
}

void readFounders(Reading& reading, Section& cluster, Config& config) {
  const toml::node* node = cluster.get("founders");
  if (node == nullptr || !node->is_table()) {
    reading.refuse("cluster.founders", node == nullptr ? nullptr : &node->source(),
                   "missing; write { 1 = \"host:port\", … } with every founding host");
    return;
  }
  std::set<std::string> seen;
  for (const auto& [key, value] : *node->as_table()) {
    std::string id(key.str());
    std::string path = "cluster.founders." + id;
    bool digits =
        !id.empty() && id.size() <= 7 &&
        std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isdigit(c); });
    uint64_t number = digits ? std::stoull(id) : 0;
    if (number == 0 || number > kHostIdMax) {
      reading.refuse(path, &key.source(), "not a host id; write a number from 1 to 1000000");
      return;
    }
    if (!value.is_string()) {
      reading.refuse(path, value, "found " + typeOf(value) + "; write \"host:port\"");
      return;
    }
    std::string address = value.as_string()->get();
    checkAddress(reading, path, &value, address);
    if (config.founders.count(number) != 0) {
      reading.refuse(path, &key.source(),
                     "two hosts with the id " + std::to_string(number) + "; give each its own");
    }
    if (!seen.insert(address).second) {
      reading.refuse(path, value,
                     "\"" + address + "\" is another founder's address too; give each its own");
    }
    config.founders[number] = address;
  }
  if (config.founders.size() > kFoundersMax) {
    reading.refuse("cluster.founders", *node,
                   std::to_string(config.founders.size()) + " hosts; at most 7 found a cluster");
  }
  if (config.hostId != 0 && config.founders.count(config.hostId) == 0) {
    reading.refuse("cluster.founders", *node,
                   "does not name this host, " + std::to_string(config.hostId) +
                       "; add it, or correct host.id");
  }
}

void readCluster(Reading& reading, Section& root, Config& config) {
  Section cluster(reading, tableOf(reading, root, "cluster"), "cluster");
  if (cluster.table() == nullptr) {
    reading.refuse("cluster", nullptr, "no [cluster] table; write name and founders");
    return;
  }
  cluster.text("name", config.clusterName);
  if (config.clusterName.empty())
    reading.refuse("cluster.name", nullptr, "missing; write the cluster's name");
  for (char c : config.clusterName) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_' && c != '.') {
      reading.refuse("cluster.name", *cluster.get("name"),
                     "\"" + config.clusterName + "\"; write letters, digits, '-', '_' and '.'");
    }
  }
  if (const toml::node* join = cluster.get("join")) {
    reading.refuse("cluster.join", *join,
                   "this version has no joining yet; found the cluster with all its hosts");
  }
  readFounders(reading, cluster, config);
  cluster.text("default_group", config.defaultGroup);
  cluster.text("operator_token", config.operatorTokenFile);
  cluster.text("peer_token", config.peerTokenFile);
  std::string client;
  cluster.text("client_token", client);
  if (!client.empty()) config.clients.push_back({absolute(config.file, client), {"*"}});
  cluster.number("groups_max", config.groupsMax, 1, 1'000'000);
  cluster.end();
}

void readClients(Reading& reading, Section& root, Config& config) {
  const toml::node* node = root.get("client");
  if (node == nullptr) return;
  if (!node->is_array_of_tables()) {
    reading.refuse("client", *node,
                   "found " + typeOf(*node) + "; write [[client]] with token and groups");
    return;
  }
  for (const toml::node& item : *node->as_array()) {
    Section client(reading, item.as_table(), "client");
    ClientSecret secret;
    client.text("token", secret.tokenFile);
    client.texts("groups", secret.groups);
    client.end();
    if (secret.tokenFile.empty())
      reading.refuse("client.token", item, "missing; write the secret's file");
    if (secret.groups.empty())
      reading.refuse("client.groups", item, "missing; write the groups' names, \"*\" for all");
    secret.tokenFile = absolute(config.file, secret.tokenFile);
    config.clients.push_back(std::move(secret));
  }
}

void readStorage(Reading& reading, Section& root, Config& config) {
  Section storage(reading, tableOf(reading, root, "storage"), "storage");
  std::map<std::string, std::string> volumes;
  storage.map("volumes", volumes);
  storage.number("ballast_bytes", config.ballastBytes, 0, 1ULL << 40);
  storage.number("snapshot_bytes_per_second", config.snapshotBytesPerSecond, 0, 1ULL << 40);
  storage.number("generation_bytes", config.generationBytes, 1 << 20, 1ULL << 30);
  storage.flag("preallocate", config.preallocate);
  storage.end();
  config.volumes.push_back({"default", config.dataDir});
  for (const auto& [name, path] : volumes) {
    std::string at = absolute(config.file, path);
    if (name == "default" || at == config.dataDir) {
      reading.refuse("storage.volumes." + name, *storage.get("volumes"),
                     "the data directory is the volume \"default\" already; name another");
    }
    config.volumes.push_back({name, at});
  }
}

void readPlugins(Reading& reading, Section& root, Config& config) {
  Section plugins(reading, tableOf(reading, root, "plugins"), "plugins");
  if (const toml::node* node = plugins.get("trusted")) {
    if (node->is_string()) {
      config.trusted = node->as_string()->get();
      if (config.trusted != "operators" && !config.trusted.empty()) {
        reading.refuse(
            "plugins.trusted", *node,
            "\"" + config.trusted + "\"; write \"operators\", or a list of SHA-256 sums");
      }
    } else {
      config.trusted = "hashes";
      plugins.texts("trusted", config.trustedHashes);
    }
  }
  plugins.texts("dirs", config.pluginDirs);
  for (std::string& dir : config.pluginDirs) dir = absolute(config.file, dir);
  plugins.end();
}

void readTls(Reading& reading, Section& root, Config& config) {
  const toml::table* table = tableOf(reading, root, "tls");
  Section tls(reading, table, "tls");
  tls.text("cert", config.tlsCert);
  tls.text("key", config.tlsKey);
  tls.text("ca", config.tlsCa);
  tls.end();
  if (table != nullptr &&
      (config.tlsCert.empty() || config.tlsKey.empty() || config.tlsCa.empty())) {
    reading.refuse("tls", *table, "incomplete; write cert, key and ca");
  }
  config.tlsCert = absolute(config.file, config.tlsCert);
  config.tlsKey = absolute(config.file, config.tlsKey);
  config.tlsCa = absolute(config.file, config.tlsCa);
}

void readGroups(Reading& reading, Section& root, Config& config) {
  const toml::node* node = root.get("group");
  if (node != nullptr && !node->is_array_of_tables()) {
    reading.refuse("group", *node,
                   "found " + typeOf(*node) + "; write [[group]] with name and plugin");
    return;
  }
  std::set<std::string> names;
  if (node != nullptr) {
    for (const toml::node& item : *node->as_array()) {
      Section table(reading, item.as_table(), "group");
      DeclaredGroup group;
      table.text("name", group.name);
      table.text("plugin", group.plugin);
      table.ids("on", group.on);
      table.ids("learners", group.learners);
      table.map("options", group.options);
      table.map("config", group.config);
      table.end();
      if (group.name.empty()) reading.refuse("group.name", item, "missing; write the group's name");
      if (group.plugin.empty())
        reading.refuse("group.plugin", item, "missing; write the plugin's name");
      if (!names.insert(group.name).second) {
        reading.refuse("group.name", item,
                       "\"" + group.name + "\" stands in two [[group]] tables; keep one");
      }
      config.groups.push_back(std::move(group));
    }
  }
  if (!config.defaultGroup.empty() && names.count(config.defaultGroup) == 0) {
    reading.refuse(
        "cluster.default_group", nullptr,
        "\"" + config.defaultGroup + "\" has no [[group]] table; add one with its name and plugin");
  }
}

void judge(Reading& reading, Config& config) {
  if (!onLoopback(config.listen) && !config.tls() && !config.insecure) {
    reading.refuse(
        "host.listen", nullptr,
        "\"" + config.listen +
            "\" is not loopback and there is no [tls]; write [tls], listen on 127.0.0.1, or set "
            "host.insecure = true");
  }
  if (!config.http.empty() && !onLoopback(config.http) && !config.insecure) {
    reading.refuse("host.http", nullptr,
                   "\"" + config.http +
                       "\" is not loopback, and these pages have no TLS; write 127.0.0.1, or set "
                       "host.insecure = true");
  }
  auto mine = config.founders.find(config.hostId);
  if (mine != config.founders.end() && mine->second != config.listen && onLoopback(mine->second) &&
      onLoopback(config.listen)) {
    reading.refuse(
        "cluster.founders." + std::to_string(config.hostId), nullptr,
        "\"" + mine->second + "\" is not host.listen \"" + config.listen + "\"; write the same");
  }
  if (config.peerTokenFile.empty()) {
    bool local = std::all_of(config.founders.begin(), config.founders.end(),
                             [](const auto& each) { return onLoopback(each.second); });
    if (local) {
      config.peerTokenFile = defaultPeerToken(config.clusterName);
    } else {
      reading.refuse("cluster.peer_token", nullptr,
                     "missing; write a file with one secret line, the same on every host");
    }
  }
}

}  // namespace

std::string defaultPeerToken(const std::string& clusterName) {
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): before any thread
  fs::path base = home != nullptr && *home != '\0' ? fs::path(home) : fs::temp_directory_path();
  return (base / ".flotilla" / (clusterName + ".peer.token")).string();
}

namespace {

// The code point that begins there, of so many bytes; 0: none of UTF-8's.
std::pair<uint32_t, size_t> codePointAt(std::string_view text, size_t at) {
  auto lead = static_cast<uint8_t>(text[at]);
  size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < size) return {0, 1};
  uint32_t point = lead & (0xffU >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    auto byte = static_cast<uint8_t>(text[at + i]);
    if ((byte & 0xc0) != 0x80) return {0, 1};
    point = point << 6 | (byte & 0x3fU);
  }
  return {point, size};
}

// The same file in ASCII: characters beyond it escaped in strings, and gone from comments. toml++
// 3.3 goes on undefined with some of them where it expects none. False where one has no place;
// `at` says where.
bool toAscii(std::string_view text, std::string& to, toml::source_position& at) {
  char quote = 0;  // of the string that we are in
  size_t quotes = 0;
  bool comment = false;
  at = {1, 0};
  for (size_t i = 0; i < text.size(); ++i) {
    char byte = text[i];
    ++at.column;
    if ((byte & 0x80) != 0) {
      auto [point, size] = codePointAt(text, i);
      if (!comment && (quote != '"' || point == 0)) return false;
      char escaped[16];
      std::snprintf(escaped, sizeof escaped, "\\U%08X", static_cast<unsigned>(point));
      to += comment ? "." : escaped;
      i += size - 1;
      continue;
    }
    to += byte;
    if (byte == '\n') {
      at = {at.line + 1, 0};
      comment = false;
      if (quotes == 1) quote = 0;
    } else if (comment) {
      continue;
    } else if (quote == '"' && byte == '\\' && i + 1 < text.size() && (text[i + 1] & 0x80) == 0) {
      to += text[++i];
      at = text[i] == '\n' ? toml::source_position{at.line + 1, 0}
                           : toml::source_position{at.line, at.column + 1};
    } else if (quote != 0 ? byte == quote : byte == '"' || byte == '\'') {
      size_t run = std::min(text.find_first_not_of(byte, i), text.size()) - i;
      size_t taken = quote != 0 ? (run >= quotes ? quotes : run) : run >= 3 ? 3 : run;
      to.append(taken - 1, byte);
      i += taken - 1;
      at.column += static_cast<toml::source_index>(taken - 1);
      if (quote != 0) {
        if (taken == quotes) quote = 0;
      } else if (taken != 2) {  // two are an empty string
        quote = byte;
        quotes = taken;
      }
    } else if (quote == 0 && byte == '#') {
      comment = true;
    }
  }
  return true;
}

}  // namespace

Result<Config> parseConfig(const std::string& text, const std::string& file) {
  Reading reading(file);
  std::string ascii;
  toml::source_position at;
  if (!toAscii(text, ascii, at)) {
    toml::source_region where{at, at, nullptr};
    reading.refuse(
        "", &where,
        "a character that is not ASCII, or not UTF-8; it may stand in a comment, or in a "
        "string between double quotes");
    return reading.fault();
  }
  toml::parse_result parsed = toml::parse(ascii, file);
  if (!parsed) {
    std::string found(parsed.error().description());
    bool twice = found.find("redefine") != std::string::npos;
    if (twice) found += "; write each key once, and give each host an id of its own";
    reading.refuse("", &parsed.error().source(), found);
    return reading.fault();
  }
  Config config;
  config.file = file;
  Section root(reading, &parsed.table(), "");
  readHost(reading, root, config);
  config.dataDir = absolute(file, config.dataDir);
  config.log = absolute(file, config.log);
  readCluster(reading, root, config);
  readClients(reading, root, config);
  readStorage(reading, root, config);
  readPlugins(reading, root, config);
  readTls(reading, root, config);
  Section threads(reading, tableOf(reading, root, "threads"), "threads");
  threads.number("loops", config.loops, 1, 1);
  threads.number("apply", config.applyWorkers, 1, 8);
  threads.end();
  readGroups(reading, root, config);
  root.end();
  config.operatorTokenFile = config.operatorTokenFile.empty()
                                 ? (fs::path(config.dataDir) / "operator.token").string()
                                 : absolute(file, config.operatorTokenFile);
  config.peerTokenFile = absolute(file, config.peerTokenFile);
  judge(reading, config);
  if (reading.failed()) return reading.fault();
  return config;
}

Result<Config> readConfig(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return Fault{ErrorCode::badRequest,
                 "config " + file + ": cannot be read; give an existing file with --config", ""};
  std::ostringstream text;
  text << in.rdbuf();
  return parseConfig(text.str(), file);
}

}  // namespace flotilla::runtime
