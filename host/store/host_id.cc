// Who a data directory belongs to, how often it was booted, and that one process alone has it.
#include "host/store/host_id.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <sstream>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "host/base/checksum.h"

namespace flotilla::store {

namespace {

constexpr uint64_t kBytesMax = 4096;
constexpr const char* kDamaged =
    "; put the file back from a copy, or let this host join under a new id";

std::string pathOf(const std::string& dataDir) {
  return dataDir + "/host.id";
}

Fault about(const std::string& dataDir, ErrorCode code, const std::string& what) {
  return Fault{code, "data_dir " + dataDir + ": " + what, {}};
}

// "key value" lines closed by a checksum of them.
std::string seal(const std::string& lines) {
  char last[40];
  std::snprintf(last, sizeof last, "checksum %016" PRIx64 "\n", base::checksum(lines));
  return lines + last;
}

std::optional<std::string> unseal(const std::string& text) {
  size_t last = text.rfind("checksum ");
  if (last == std::string::npos || text != seal(text.substr(0, last))) return std::nullopt;
  return text.substr(0, last);
}

std::map<std::string, std::string> wordsOf(const std::string& lines) {
  std::map<std::string, std::string> words;
  std::istringstream in(lines);
  std::string line;
  while (std::getline(in, line)) {
    size_t space = line.find(' ');
    if (space != std::string::npos) words[line.substr(0, space)] = line.substr(space + 1);
  }
  return words;
}

std::optional<uint64_t> numberOf(const std::string& text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string textOf(const HostId& id) {
  std::ostringstream out;
  out << "format " << id.format << "\nhost " << id.host << "\nbirth " << id.birth << "\ncluster "
      << id.clusterName << "\ncluster_id " << id.clusterId << "\n";
  return seal(out.str());
}

std::string bootsOf(const std::string& dataDir) {
  return dataDir + "/boots";
}

std::string boots(uint64_t count) {
  return seal("boots " + std::to_string(count) + "\n");
}

}  // namespace

Result<std::string> randomHex128() {
  unsigned char random[16];
  if (::getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return posixFault("random numbers", "read", errno);
  }
  std::string hex;
  for (unsigned char byte : random) {
    hex.push_back("0123456789abcdef"[byte >> 4]);
    hex.push_back("0123456789abcdef"[byte & 15]);
  }
  return hex;
}

Result<HostId> newHostId(const std::string& dataDir, uint64_t host,
                         const std::string& clusterName) {
  if (clusterName.find('\n') != std::string::npos) {
    return Fault{ErrorCode::badRequest, "cluster.name has a line break; use one line", {}};
  }
  if (exists(pathOf(dataDir))) {
    auto old = readHostId(dataDir);
    std::string whose =
        old ? " (host " + std::to_string(old->host) + ", cluster " + old->clusterName + ")" : "";
    return about(dataDir, ErrorCode::alreadyExists,
                 "host.id is there already" + whose + "; start without --init");
  }
  if (exists(dataDir + "/meta")) {
    return about(dataDir, ErrorCode::corrupt,
                 "meta/ is there without host.id; where this host has never served (an --init cut "
                 "short), remove the directory and start with --init again, else put host.id back "
                 "from a copy, or let this host join under a new id");
  }
  if (auto made = makeDirectories(dataDir); !made) return made.fault();
  auto birth = randomHex128();
  if (!birth) return birth.fault();
  HostId id;
  id.host = host;
  id.birth = *birth;
  id.clusterName = clusterName;
  if (auto wrote = writeAside(bootsOf(dataDir), boots(0)); !wrote) return wrote.fault();
  return id;
}

Result<void> keepHostId(const std::string& dataDir, const HostId& id) {
  return writeAside(pathOf(dataDir), textOf(id));
}

Result<HostId> readHostId(const std::string& dataDir) {
  if (!exists(pathOf(dataDir))) {
    return about(dataDir, ErrorCode::corrupt,
                 "no host.id; a new host starts once with --init, one that lost its disk joins "
                 "under a new id");
  }
  auto text = readWhole(pathOf(dataDir), kBytesMax);
  if (!text) return about(dataDir, text.fault().code, text.fault().text);
  auto lines = unseal(*text);
  if (!lines) {
    return about(dataDir, ErrorCode::corrupt, std::string("host.id fails its checksum") + kDamaged);
  }
  auto words = wordsOf(*lines);
  auto format = numberOf(words["format"]);
  auto host = numberOf(words["host"]);
  if (format && *format > HostId::kFormat) {
    return about(dataDir, ErrorCode::corrupt,
                 "host.id: format " + words["format"] + ", this host reads up to " +
                     std::to_string(HostId::kFormat) + "; start a newer flotilla-host");
  }
  if (!format || !host || words["birth"].size() != 32) {
    return about(dataDir, ErrorCode::corrupt, std::string("host.id makes no sense") + kDamaged);
  }
  HostId id;
  id.format = static_cast<uint32_t>(*format);
  id.host = *host;
  id.birth = words["birth"];
  id.clusterName = words["cluster"];
  id.clusterId = words["cluster_id"];
  return id;
}

Result<void> updateHostId(const std::string& dataDir, const HostId& id) {
  auto old = readHostId(dataDir);
  if (!old) return old.fault();
  if (old->host != id.host || old->birth != id.birth) {
    return about(dataDir, ErrorCode::badRequest,
                 "host.id is host " + std::to_string(old->host) + "'s of birth " + old->birth +
                     ", not host " + std::to_string(id.host) + "'s of birth " + id.birth);
  }
  return writeAside(pathOf(dataDir), textOf(id));
}

Result<uint64_t> nextBoot(const std::string& dataDir) {
  std::string path = bootsOf(dataDir);
  bool there = exists(path);
  auto text = there ? readWhole(path, kBytesMax) : Result<std::string>(std::string());
  if (!text) return about(dataDir, text.fault().code, text.fault().text);
  auto lines = unseal(*text);
  auto before = lines ? numberOf(wordsOf(*lines)["boots"]) : std::nullopt;
  if (!before) {
    return about(dataDir, ErrorCode::corrupt,
                 std::string(there ? "boots fails its checksum" : "boots is missing") +
                     "; put the file back from a copy, with a number that is not lower");
  }
  auto wrote = writeAside(path, boots(*before + 1));
  if (!wrote) return about(dataDir, wrote.fault().code, wrote.fault().text);
  return *before + 1;
}

Result<DataLock> DataLock::take(const std::string& dataDir) {
  std::string path = dataDir + "/lock";
  auto file = openFile(path, O_RDWR | O_CREAT);
  if (!file) return about(dataDir, file.fault().code, file.fault().text);
  if (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return posixFault(path, "lock", errno);
    char holder[24] = {};
    ssize_t got = ::pread(file->get(), holder, sizeof holder - 1, 0);
    std::string pid(holder, got > 0 ? static_cast<size_t>(got) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return about(dataDir, ErrorCode::denied,
                 "in use by another flotilla-host (pid " + (pid.empty() ? "unknown" : pid) +
                     "); stop it, or give this host its own host.data_dir");
  }
  if (::ftruncate(file->get(), 0) != 0) return posixFault(path, "shorten", errno);
  std::string pid = std::to_string(::getpid()) + "\n";
  // A full disk must not keep a host from starting: the pid is only for the other's message.
  if (auto wrote = writeAt(*file, path, pid, 0); !wrote) {
    if (wrote.fault().code != ErrorCode::diskFull) return wrote.fault();
  }
  return DataLock(std::move(*file));
}

}  // namespace flotilla::store
