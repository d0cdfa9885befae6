// What a playground's folder is filled with.
#include "admin/playground_files.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/command.h"

namespace flotilla::admin {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTokenBytes = 32;
constexpr std::streamoff kLogTailBytes = 4'096;

Fault failed(const std::string& path) {
  return {ErrorCode::badRequest, path + ": " + std::strerror(errno), ""};
}

Result<std::string> randomToken() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return failed("random numbers");
  }
  std::string out;
  for (unsigned char byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out + "\n";
}

// Made with that mode from the first moment on.
Result<void> writeNew(const std::string& path, const std::string& text, mode_t mode) {
  int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return failed(path);
  bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  int error = errno;
  close(file);
  errno = error;
  if (!written) return failed(path);
  return {};
}

Result<void> makeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return failed(path);
}

}  // namespace

std::string configOf(const PlaygroundPlace& place, uint64_t host) {
  std::string founders;
  for (uint64_t i = 1; i <= place.hosts; ++i) {
    founders += (i == 1 ? "" : ", ") + std::to_string(i) + " = \"" + place.addresses[i - 1] + "\"";
  }
  return "# A host of a playground: made by flotilla playground start.\n"
         "[host]\n"
         "id = " +
         std::to_string(host) +
         "\n"
         "listen = \"" +
         place.addresses[host - 1] +
         "\"\n"
         "http = \"" +
         place.httpAddress(host) +
         "\"\n"
         "data_dir = \"data\"\n"
         "\n[cluster]\n"
         "name = \"playground\"\n"
         "founders = { " +
         founders +
         " }\n"
         "peer_token = \"../peer.token\"\n"
         "operator_token = \"../operator.token\"\n"
         "client_token = \"../client.token\"\n"
         "\n[plugins]\n"
         "trusted = \"operators\"\n";
}

Result<void> makePlayground(const PlaygroundPlace& place) {
  std::error_code error;
  fs::create_directories(place.dir, error);
  if (error) return Fault{ErrorCode::badRequest, place.dir + ": " + error.message(), ""};
  if (!fs::is_empty(place.dir, error) || error) {
    return Fault{ErrorCode::badRequest,
                 "playground " + place.dir + ": holds other files; name an empty or a new folder",
                 ""};
  }
  for (const std::string& file : {place.operatorToken(), place.clientToken(), place.peerToken()}) {
    Result<std::string> token = randomToken();
    if (!token) return token.fault();
    if (Result<void> written = writeNew(file, *token, 0600); !written) return written;
  }
  for (uint64_t host = 1; host <= place.hosts; ++host) {
    if (Result<void> made = makeFolder(place.hostDir(host)); !made) return made;
    Result<void> written = writeNew(place.configFile(host), configOf(place, host), 0644);
    if (!written) return written;
  }
  // Last, so that a folder half made is not taken for a playground.
  return writePlayground(place);
}

bool hasBegun(const PlaygroundPlace& place, uint64_t host) {
  std::error_code error;
  return fs::exists(place.hostDir(host) + "/data/host.id", error);
}

std::string lastLogLine(const PlaygroundPlace& place, uint64_t host) {
  std::ifstream log(place.logFile(host), std::ios::binary | std::ios::ate);
  std::streamoff size = log.tellg();
  if (size <= 0) return "";
  log.seekg(std::max<std::streamoff>(0, size - kLogTailBytes));
  std::string tail((std::istreambuf_iterator<char>(log)), std::istreambuf_iterator<char>());
  while (!tail.empty() && tail.back() == '\n') tail.pop_back();
  size_t line = tail.rfind('\n');
  return line == std::string::npos ? tail : tail.substr(line + 1);
}

}  // namespace flotilla::admin
