// Plugin copies whose name is their content.
#include "host/plugin/plugin_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "host/base/assert.h"

namespace flotilla::plugin {
namespace {

constexpr std::string_view kAside = ".writing";
constexpr std::string_view kDamaged = ".damaged";
constexpr size_t kHashChars = 64;

bool isHash(std::string_view word) {
  return word.size() == kHashChars && std::all_of(word.begin(), word.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Fault ioFault(const std::string& path, const std::string& what) {
  return {ErrorCode::io, "plugin file " + path + ": " + what + ": " + std::strerror(errno), {}};
}

// A descriptor that closes itself.
class OpenFile {
public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

private:
  int fd_;
};

Result<void> syncDirectory(const std::string& directory) {
  OpenFile opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.fd() < 0 || fsync(opened.fd()) != 0) return ioFault(directory, "cannot be synced");
  return {};
}

Result<void> writeSynced(const std::string& path, std::string_view bytes) {
  OpenFile opened(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0500));
  if (opened.fd() < 0) return ioFault(path, "cannot be made");
  while (!bytes.empty()) {
    ssize_t written = ::write(opened.fd(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ioFault(path, "cannot be written");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(opened.fd()) != 0) return ioFault(path, "cannot be synced");
  return {};
}

}  // namespace

std::string sha256Of(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  int done = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  ASSERT(done == 1);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

Result<PluginFiles> PluginFiles::open(std::string directory) {
  std::error_code failed;
  bool made = std::filesystem::create_directories(directory, failed);
  if (failed) {
    return Fault{ErrorCode::io, "plugin directory " + directory + ": " + failed.message(), {}};
  }
  if (made) {
    std::string above = std::filesystem::absolute(directory).parent_path().string();
    if (Result<void> synced = syncDirectory(above); !synced) return synced.fault();
  }
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    if (entry.path().string().ends_with(kAside)) std::filesystem::remove(entry.path(), failed);
  }
  return PluginFiles(std::move(directory));
}

std::string PluginFiles::pathOf(const std::string& sha256) const {
  return directory_ + "/" + sha256 + ".so";
}

Result<std::string> PluginFiles::add(std::string_view bytes) const {
  if (bytes.size() > kFileBytesMax) {
    return Fault{ErrorCode::tooLarge,
                 "plugin of " + std::to_string(bytes.size()) + " bytes: at most " +
                     std::to_string(kFileBytesMax) + "; strip it of its debug sections",
                 {}};
  }
  std::string sha256 = sha256Of(bytes);
  if (has(sha256) && verifiedPath(sha256)) return sha256;
  std::string aside = pathOf(sha256) + std::string(kAside);
  ::unlink(aside.c_str());  // of a crash, and not writable
  if (Result<void> written = writeSynced(aside, bytes); !written) {
    ::unlink(aside.c_str());
    return written.fault();
  }
  if (std::rename(aside.c_str(), pathOf(sha256).c_str()) != 0) {
    return ioFault(pathOf(sha256), "cannot be renamed into place");
  }
  if (Result<void> synced = syncDirectory(directory_); !synced) return synced.fault();
  return sha256;
}

bool PluginFiles::has(const std::string& sha256) const {
  return isHash(sha256) && ::access(pathOf(sha256).c_str(), F_OK) == 0;
}

std::vector<std::string> PluginFiles::list() const {
  std::vector<std::string> hashes;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".so" && isHash(stem)) hashes.push_back(stem);
  }
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

Result<std::string> PluginFiles::read(const std::string& sha256) const {
  if (!has(sha256)) {
    return Fault{
        ErrorCode::badRequest,
        "plugin " + sha256 +
            ": its file is not on this host; it is fetched from one that has it, or push it",
        {}};
  }
  std::string path = pathOf(sha256);
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return ioFault(path, "cannot be read");
  auto size = static_cast<size_t>(in.tellg());
  if (size > kFileBytesMax) {
    return Fault{ErrorCode::corrupt,
                 "plugin file " + path + ": has " + std::to_string(size) + " bytes, at most " +
                     std::to_string(kFileBytesMax) + " were ever written; delete it",
                 {}};
  }
  std::string bytes(size, 0);
  in.seekg(0);
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  if (!in) return ioFault(path, "cannot be read");
  std::string found = sha256Of(bytes);
  if (found == sha256) return bytes;
  // Out of the way, so that it counts as missing and is fetched again; kept for who asks why.
  std::rename(path.c_str(), (path + std::string(kDamaged)).c_str());
  return Fault{ErrorCode::corrupt,
               "plugin file " + path + ": is damaged, its content has SHA-256 " + found +
                   "; put aside, and fetched again from a host that has it",
               {}};
}

Result<std::string> PluginFiles::verifiedPath(const std::string& sha256) const {
  Result<std::string> bytes = read(sha256);
  if (!bytes) return bytes.fault();
  return pathOf(sha256);
}

Result<TrustedPlugins> TrustedPlugins::parse(const std::vector<std::string>& words) {
  TrustedPlugins trusted;
  for (const std::string& word : words) {
    if (word == "operators") {
      trusted.operators_ = true;
    } else if (isHash(word)) {
      trusted.hashes_.push_back(word);
    } else {
      return Fault{ErrorCode::badRequest,
                   "plugins.trusted \"" + word +
                       "\": neither \"operators\" nor a SHA-256 of 64 lower-case hex digits",
                   {}};
    }
  }
  return trusted;
}

bool TrustedPlugins::allows(const std::string& sha256, bool pushedByOperator) const {
  if (operators_ && pushedByOperator) return true;
  return std::find(hashes_.begin(), hashes_.end(), sha256) != hashes_.end();
}

}  // namespace flotilla::plugin
