// Snapshot files: DIRECTORY/<group>-<replica>/<index>-<term>.snap, whole and checked or not there.
#include "host/store/snapshot_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "host/store/packing.h"

namespace flotilla::store {

namespace {

// trailer = magic u64, version u32, 0 u32, index u64, term u64, content bytes u64, content's
// checksum
//           u64, checksum of all this u64
constexpr uint64_t kMagic = 0x70616e73746c6661;
constexpr uint32_t kVersion = 1;
constexpr size_t kTrailerBytes = 56;
constexpr size_t kPieceBytes = 256 << 10;
constexpr const char* kSuffix = ".snap";
constexpr const char* kAside = ".part";

std::string trailerOf(const SnapshotFile& about) {
  std::string bytes;
  putFixed64(bytes, kMagic);
  putFixed32(bytes, kVersion);
  putFixed32(bytes, 0);
  putFixed64(bytes, about.point.index);
  putFixed64(bytes, about.point.term);
  putFixed64(bytes, about.bytes);
  putFixed64(bytes, about.checksum);
  putFixed64(bytes, base::checksum(bytes));
  return bytes;
}

Fault damage(const std::string& path, const std::string& what) {
  return Fault{ErrorCode::corrupt, "snapshot " + path + ": " + what, {}};
}

Result<size_t> readSome(const FileDescriptor& file, const std::string& path, uint64_t offset,
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

// What the trailer says, which must fit the file's name and size.
Result<SnapshotFile> readTrailer(const FileDescriptor& file, const std::string& path,
                                 raft::LogPoint point) {
  struct stat about;
  if (::fstat(file.get(), &about) != 0) return posixFault(path, "look at", errno);
  auto size = static_cast<uint64_t>(about.st_size);
  if (size < kTrailerBytes) return damage(path, "only " + std::to_string(size) + " bytes long");
  char bytes[kTrailerBytes];
  auto got = readSome(file, path, size - kTrailerBytes, bytes, kTrailerBytes);
  if (!got) return got.fault();
  std::string_view trailer(bytes, *got);
  Unpacker in(trailer);
  bool magic = in.fixed64() == kMagic;
  uint32_t version = in.fixed32();
  in.fixed32();
  SnapshotFile found;
  found.path = path;
  found.point.index = in.fixed64();
  found.point.term = in.fixed64();
  found.bytes = in.fixed64();
  found.checksum = in.fixed64();
  uint64_t sum = in.fixed64();
  if (!magic || !in.finished() || sum != base::checksum(trailer.substr(0, kTrailerBytes - 8))) {
    return damage(path, "its last " + std::to_string(kTrailerBytes) + " bytes fail their checksum");
  }
  if (version != kVersion) return damage(path, "of version " + std::to_string(version));
  if (found.point != point || found.bytes + kTrailerBytes != size) {
    return damage(path, "its name and length are not those that it was written with");
  }
  return found;
}

bool takeNumber(std::string_view& text, uint64_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// "<first>-<second><suffix>"
std::optional<std::pair<uint64_t, uint64_t>> parsePair(std::string_view name,
                                                       std::string_view suffix) {
  std::pair<uint64_t, uint64_t> pair;
  if (!takeNumber(name, pair.first) || name.empty() || name.front() != '-') return std::nullopt;
  name.remove_prefix(1);
  if (!takeNumber(name, pair.second) || name != suffix) return std::nullopt;
  return pair;
}

std::string pairName(uint64_t first, uint64_t second) {
  return std::to_string(first) + "-" + std::to_string(second);
}

bool endsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

SnapshotWriter::SnapshotWriter(FileDescriptor file, std::string path, raft::LogPoint point)
    : file_(std::move(file)), path_(std::move(path)), point_(point) {}

SnapshotWriter::~SnapshotWriter() {
  if (!finished_) ::unlink((path_ + kAside).c_str());
}

Result<void> SnapshotWriter::write(std::string_view piece) {
  if (auto wrote = writeAll(file_, path_ + kAside, piece); !wrote) return wrote;
  checksum_.add(piece);
  bytes_ += piece.size();
  return {};
}

Result<void> SnapshotWriter::writeAt(uint64_t offset, std::string_view piece) {
  if (offset > bytes_) {
    return Fault{ErrorCode::badRequest,
                 "snapshot " + path_ + ": a piece at " + std::to_string(offset) + ", but only " +
                     std::to_string(bytes_) + " bytes came before it",
                 {}};
  }
  uint64_t known = bytes_ - offset;
  if (known >= piece.size()) return {};
  return write(piece.substr(known));
}

Result<SnapshotFile> SnapshotWriter::finish() {
  SnapshotFile about{point_, bytes_, checksum_.value(), path_};
  std::string aside = path_ + kAside;
  if (auto wrote = writeAll(file_, aside, trailerOf(about)); !wrote) return wrote.fault();
  if (auto synced = syncFile(file_, aside); !synced) return synced.fault();
  if (::rename(aside.c_str(), path_.c_str()) != 0) return posixFault(path_, "rename to", errno);
  finished_ = true;
  if (auto synced = syncDirectory(parentOf(path_)); !synced) return synced.fault();
  return about;
}

Result<SnapshotFile> SnapshotWriter::finishExpecting(uint64_t bytes, uint64_t checksum) {
  if (bytes != bytes_) {
    return damage(path_, std::to_string(bytes_) + " bytes came, " + std::to_string(bytes) +
                             " were announced");
  }
  if (checksum != checksum_.value()) return damage(path_, "what came fails its checksum");
  return finish();
}

SnapshotReader::SnapshotReader(FileDescriptor file, SnapshotFile about)
    : file_(std::move(file)), about_(std::move(about)) {}

Result<size_t> SnapshotReader::read(char* to, size_t size) {
  auto got = readAt(offset_, to, size);
  if (got) offset_ += *got;
  return got;
}

Result<size_t> SnapshotReader::readAt(uint64_t offset, char* to, size_t size) const {
  if (offset >= about_.bytes) return size_t{0};
  size_t wanted = static_cast<size_t>(std::min<uint64_t>(size, about_.bytes - offset));
  auto got = readSome(file_, about_.path, offset, to, wanted);
  if (got && *got < wanted) return damage(about_.path, "was cut while it was read");
  return got;
}

std::string SnapshotFiles::directoryOf(group::ReplicaKey replica) const {
  return directory_ + "/" + pairName(replica.group, replica.replica);
}

Result<void> SnapshotFiles::open() {
  if (auto made = makeDirectories(directory_); !made) return made;
  auto found = replicas();
  if (!found) return found.fault();
  for (group::ReplicaKey replica : *found) {
    auto names = listDirectory(directoryOf(replica));
    if (!names) return names.fault();
    for (const std::string& name : *names) {
      if (!endsWith(name, kAside)) continue;
      if (auto gone = removeFile(directoryOf(replica) + "/" + name); !gone) return gone;
    }
  }
  return {};
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotFiles::begin(group::ReplicaKey replica,
                                                             raft::LogPoint point) {
  if (auto made = makeDirectories(directoryOf(replica)); !made) return made.fault();
  std::string path = directoryOf(replica) + "/" + pairName(point.index, point.term) + kSuffix;
  auto file = openFile(path + kAside, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return file.fault();
  return std::unique_ptr<SnapshotWriter>(new SnapshotWriter(std::move(*file), path, point));
}

Result<std::unique_ptr<SnapshotReader>> SnapshotFiles::read(group::ReplicaKey replica,
                                                            raft::LogPoint point) {
  std::string path = directoryOf(replica) + "/" + pairName(point.index, point.term) + kSuffix;
  auto file = openFile(path, O_RDONLY);
  if (!file) {
    return Fault{file.fault().code, "snapshot " + file.fault().text, {}};
  }
  auto about = readTrailer(*file, path, point);
  if (!about) return about.fault();
  base::RunningChecksum sum;
  auto piece = std::make_unique<char[]>(kPieceBytes);
  for (uint64_t offset = 0; offset < about->bytes;) {
    size_t wanted = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, about->bytes - offset));
    auto got = readSome(*file, path, offset, piece.get(), wanted);
    if (!got) return got.fault();
    if (*got < wanted) return damage(path, "ends early");
    sum.add({piece.get(), *got});
    offset += *got;
  }
  if (sum.value() != about->checksum) return damage(path, "fails its checksum");
  return std::unique_ptr<SnapshotReader>(new SnapshotReader(std::move(*file), std::move(*about)));
}

Result<std::vector<SnapshotFile>> SnapshotFiles::list(group::ReplicaKey replica) {
  std::vector<SnapshotFile> files;
  if (!exists(directoryOf(replica))) return files;
  auto names = listDirectory(directoryOf(replica));
  if (!names) return names.fault();
  for (const std::string& name : *names) {
    auto pair = parsePair(name, kSuffix);
    if (!pair) continue;
    SnapshotFile about{{pair->first, pair->second}, 0, 0, directoryOf(replica) + "/" + name};
    auto file = openFile(about.path, O_RDONLY);
    if (!file) return file.fault();
    auto trailer = readTrailer(*file, about.path, about.point);
    files.push_back(trailer ? *trailer : about);
  }
  std::sort(files.begin(), files.end(), [](const SnapshotFile& a, const SnapshotFile& b) {
    return std::pair(a.point.index, a.point.term) < std::pair(b.point.index, b.point.term);
  });
  return files;
}

Result<std::optional<SnapshotFile>> SnapshotFiles::newest(group::ReplicaKey replica) {
  auto files = list(replica);
  if (!files) return files.fault();
  if (files->empty()) return std::optional<SnapshotFile>();
  return std::optional<SnapshotFile>(files->back());
}

Result<void> SnapshotFiles::removeOlder(group::ReplicaKey replica, raft::Index index) {
  auto files = list(replica);
  if (!files) return files.fault();
  for (const SnapshotFile& file : *files) {
    if (file.point.index >= index) continue;
    if (auto removed = removeFile(file.path); !removed) return removed;
  }
  return {};
}

Result<void> SnapshotFiles::removeReplica(group::ReplicaKey replica) {
  return removeTree(directoryOf(replica));
}

Result<std::vector<group::ReplicaKey>> SnapshotFiles::replicas() {
  auto names = listDirectory(directory_);
  if (!names) return names.fault();
  std::vector<group::ReplicaKey> keys;
  for (const std::string& name : *names) {
    if (auto pair = parsePair(name, "")) keys.push_back({pair->first, pair->second});
  }
  return keys;
}

}  // namespace flotilla::store
