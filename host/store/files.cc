// The few POSIX calls that everything on disk here is made of, with texts that name path and
// reason.
#include "host/store/files.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace flotilla::store {

Fault posixFault(const std::string& path, std::string_view what, int errorNumber) {
  ErrorCode code = ErrorCode::io;
  if (errorNumber == ENOSPC || errorNumber == EDQUOT) code = ErrorCode::diskFull;
  if (errorNumber == ENOENT) code = ErrorCode::corrupt;
  std::string text = path + ": " + std::string(what) + ": ";
  return Fault{code, text + std::generic_category().message(errorNumber), {}};
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : number_(std::exchange(other.number_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

Result<FileDescriptor> openFile(const std::string& path, int flags, unsigned mode) {
  int number = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (number < 0) return posixFault(path, "open", errno);
  return FileDescriptor(number);
}

Result<void> writeAll(const FileDescriptor& file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t wrote = ::write(file.get(), bytes.data(), bytes.size());
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return posixFault(path, "write", errno);
    }
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

Result<void> writeAt(const FileDescriptor& file, const std::string& path, std::string_view bytes,
                     uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t wrote = ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return posixFault(path, "write", errno);
    }
    bytes.remove_prefix(static_cast<size_t>(wrote));
    offset += static_cast<uint64_t>(wrote);
  }
  return {};
}

Result<size_t> readUpTo(const FileDescriptor& file, const std::string& path, uint64_t offset,
                        char* to, size_t size) {
  size_t got = 0;
  while (got < size) {
    ssize_t piece = ::pread(file.get(), to + got, size - got, static_cast<off_t>(offset + got));
    if (piece < 0) {
      if (errno == EINTR) continue;
      return posixFault(path, "read", errno);
    }
    if (piece == 0) break;
    got += static_cast<size_t>(piece);
  }
  return got;
}

Result<void> syncFile(const FileDescriptor& file, const std::string& path) {
  if (::fsync(file.get()) != 0) return posixFault(path, "sync", errno);
  return {};
}

Result<void> syncData(const FileDescriptor& file, const std::string& path) {
  if (::fdatasync(file.get()) != 0) return posixFault(path, "sync", errno);
  return {};
}

std::string parentOf(const std::string& path) {
  size_t end = path.find_last_not_of('/');
  size_t slash = end == std::string::npos ? end : path.find_last_of('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool exists(const std::string& path) {
  struct stat about;
  return ::lstat(path.c_str(), &about) == 0;
}

Result<void> syncDirectory(const std::string& path) {
  auto directory = openFile(path, O_RDONLY | O_DIRECTORY);
  if (!directory) return directory.fault();
  return syncFile(*directory, path);
}

Result<void> makeDirectories(const std::string& path) {
  if (exists(path)) return {};
  std::string parent = parentOf(path);
  if (parent != path) {
    if (auto made = makeDirectories(parent); !made) return made;
  }
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return posixFault(path, "make directory", errno);
  }
  return syncDirectory(parent);
}

Result<std::vector<std::string>> listDirectory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return posixFault(path, "list directory", errno);
  std::vector<std::string> names;
  errno = 0;
  while (dirent* entry = ::readdir(directory)) {  // NOLINT(concurrency-mt-unsafe): own stream
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
    if (names.size() > kNamesMax) break;
  }
  int errorNumber = errno;
  ::closedir(directory);
  if (errorNumber != 0) return posixFault(path, "list directory", errorNumber);
  if (names.size() > kNamesMax) {
    return Fault{ErrorCode::tooLarge, path + ": more than 1000000 files in one directory", {}};
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

Result<void> removeDown(const std::string& path) {
  struct stat about;
  if (::lstat(path.c_str(), &about) != 0) {
    if (errno == ENOENT) return {};
    return posixFault(path, "look at", errno);
  }
  if (S_ISDIR(about.st_mode)) {
    auto names = listDirectory(path);
    if (!names) return names.fault();
    for (const std::string& name : *names) {
      if (auto removed = removeDown(path + "/" + name); !removed) return removed;
    }
    if (::rmdir(path.c_str()) != 0) return posixFault(path, "remove directory", errno);
    return {};
  }
  if (::unlink(path.c_str()) != 0) return posixFault(path, "remove", errno);
  return {};
}

}  // namespace

Result<void> removeTree(const std::string& path) {
  if (!exists(path)) return {};
  if (auto removed = removeDown(path); !removed) return removed;
  return syncDirectory(parentOf(path));
}

Result<void> removeFile(const std::string& path) {
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return posixFault(path, "remove", errno);
  }
  return syncDirectory(parentOf(path));
}

Result<void> renameTo(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return posixFault(from, "rename", errno);
  return syncDirectory(parentOf(to));
}

Result<void> writeAside(const std::string& path, std::string_view bytes, unsigned mode) {
  std::string aside = path + ".part";
  auto file = openFile(aside, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (!file) return file.fault();
  if (auto wrote = writeAll(*file, aside, bytes); !wrote) return wrote;
  if (auto synced = syncFile(*file, aside); !synced) return synced;
  if (::rename(aside.c_str(), path.c_str()) != 0) return posixFault(path, "rename to", errno);
  return syncDirectory(parentOf(path));
}

Result<std::string> readWhole(const std::string& path, uint64_t bytesMax) {
  auto file = openFile(path, O_RDONLY);
  if (!file) return file.fault();
  std::string bytes;
  char piece[16384];
  while (true) {
    ssize_t got = ::read(file->get(), piece, sizeof piece);
    if (got < 0) {
      if (errno == EINTR) continue;
      return posixFault(path, "read", errno);
    }
    if (got == 0) return bytes;
    bytes.append(piece, static_cast<size_t>(got));
    if (bytes.size() > bytesMax) {
      return Fault{
          ErrorCode::corrupt, path + ": longer than " + std::to_string(bytesMax) + " bytes", {}};
    }
  }
}

Result<uint64_t> freeBytes(const std::string& path) {
  struct statvfs about;
  if (::statvfs(path.c_str(), &about) != 0) return posixFault(path, "look at free space", errno);
  return static_cast<uint64_t>(about.f_bavail) * about.f_frsize;
}

Result<FileDescriptor> removeName(const std::string& path) {
  if (!exists(path)) return FileDescriptor();
  auto file = openFile(path, O_WRONLY);
  if (!file) return file;
  if (auto removed = removeFile(path); !removed) return removed.fault();
  return file;
}

bool isOursAlone(const FileDescriptor& file, uint64_t names) {
  struct stat about;
  if (::fstat(file.get(), &about) != 0 || about.st_nlink != names) return false;
  // A lease to write is given only where nobody else has the file open. Who opens it before it is
  // given back has a signal sent to us: SIGIO, which ends a process, unless it is to be another.
  if (::fcntl(file.get(), F_SETSIG, SIGURG) != 0) return false;
  if (::fcntl(file.get(), F_SETLEASE, F_WRLCK) != 0) return false;
  return ::fcntl(file.get(), F_SETLEASE, F_UNLCK) == 0;
}

void freeBlocks(FileDescriptor file, const std::function<bool()>& pause) {
  struct stat about;
  if (!file.valid() || !isOursAlone(file, 0)) return;  // nobody can open it any more
  if (::fstat(file.get(), &about) != 0) return;
  auto left = static_cast<uint64_t>(about.st_size);
  while (left > kFreedBytes) {
    left -= kFreedBytes;
    if (::ftruncate(file.get(), static_cast<off_t>(left)) != 0 || !pause()) return;
  }
}

Result<void> removeTree(const std::string& path, const std::function<bool()>& pause) {
  auto names = exists(path) ? listDirectory(path) : std::vector<std::string>();
  if (!names) return names.fault();
  for (const std::string& name : *names) {
    std::string below = path + "/" + name;
    struct stat about;
    bool large = ::lstat(below.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
                 static_cast<uint64_t>(about.st_size) > kFreedBytes;
    if (!large) continue;
    auto blocks = removeName(below);
    if (!blocks) return blocks.fault();
    freeBlocks(std::move(*blocks), pause);
  }
  return removeTree(path);
}

}  // namespace flotilla::store
