// Where a playground lies on this machine, and how commands find it.
#include "admin/playground_place.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <system_error>

#include "admin/command.h"

namespace flotilla::admin {
namespace {

constexpr size_t kFileBytesMax = 4'096;
constexpr uint64_t kHttpPortOffset = 100;

std::string loopback(uint64_t port) {
  return "127.0.0.1:" + std::to_string(port);
}

// ~/.flotilla/playground, or empty without a home.
std::string memoryFile() {
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): before any thread
  return home == nullptr || *home == '\0' ? "" : std::string(home) + "/.flotilla/playground";
}

}  // namespace

std::string PlaygroundPlace::httpAddress(uint64_t host) const {
  return loopback(basePort + kHttpPortOffset + host - 1);
}

PlaygroundPlace placeOf(const std::string& dir, uint64_t hosts, uint64_t basePort) {
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(dir, error).lexically_normal();
  PlaygroundPlace place;
  place.dir = error ? dir : absolute.string();
  while (place.dir.size() > 1 && place.dir.back() == '/') place.dir.pop_back();
  place.hosts = hosts;
  place.basePort = basePort;
  for (uint64_t host = 0; host < hosts; ++host)
    place.addresses.push_back(loopback(basePort + host));
  return place;
}

Result<PlaygroundPlace> readPlayground(const std::string& dir) {
  std::string path = dir + "/playground";
  Result<std::string> text = readFile(path, kFileBytesMax);
  if (!text) {
    return Fault{ErrorCode::badRequest,
                 "playground " + dir + ": none here (" + text.fault().text +
                     "); start one with flotilla playground start --dir " + dir,
                 ""};
  }
  unsigned long long hosts = 0;
  unsigned long long basePort = 0;
  if (std::sscanf(text->c_str(), "hosts %llu base-port %llu", &hosts, &basePort) != 2 ||
      hosts == 0 || hosts > 7 || basePort == 0 || basePort > 65'000) {
    return Fault{ErrorCode::badRequest,
                 path + ": does not say \"hosts N base-port P\"; remove " + dir + " and start anew",
                 ""};
  }
  return placeOf(dir, hosts, basePort);
}

Result<void> writePlayground(const PlaygroundPlace& place) {
  std::string path = place.dir + "/playground";
  std::ofstream out(path, std::ios::trunc);
  out << "hosts " << place.hosts << " base-port " << place.basePort << "\n";
  out.close();
  if (!out) return Fault{ErrorCode::badRequest, path + ": cannot be written", ""};
  return {};
}

std::optional<PlaygroundPlace> findPlayground() {
  if (Result<PlaygroundPlace> here = readPlayground("playground")) return *here;
  std::string memory = memoryFile();
  if (memory.empty()) return std::nullopt;
  Result<std::string> text = readFile(memory, kFileBytesMax);
  if (!text) return std::nullopt;
  std::string dir = text->substr(0, text->find('\n'));
  if (Result<PlaygroundPlace> there = readPlayground(dir)) return *there;
  return std::nullopt;
}

void rememberPlayground(const PlaygroundPlace& place) {
  std::string memory = memoryFile();
  if (memory.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(memory).parent_path(), error);
  std::ofstream(memory, std::ios::trunc) << place.dir << "\n";
}

}  // namespace flotilla::admin
