// Snapshots on disk: each a file, or of small ones many together; whole and checked or not there.
#include "host/store/snapshot_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "host/store/packing.h"
#include "host/store/pair_names.h"

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
constexpr const char* kArriving = ".arriving";
constexpr const char* kSpare = "/spare";
constexpr uint64_t kHandBytes = 512 << 10;  // as much is handed to the disk at a time

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

// What the trailer says, which must fit the file's name and size.
Result<SnapshotFile> readTrailer(const FileDescriptor& file, const std::string& path,
                                 raft::LogPoint point) {
  struct stat about;
  if (::fstat(file.get(), &about) != 0) return posixFault(path, "look at", errno);
  auto size = static_cast<uint64_t>(about.st_size);
  if (size < kTrailerBytes) return damage(path, "only " + std::to_string(size) + " bytes long");
  char bytes[kTrailerBytes];
  auto got = readUpTo(file, path, size - kTrailerBytes, bytes, kTrailerBytes);
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

// Of what is not there, the most there is.
uint64_t sizeOf(const std::string& path) {
  struct stat about;
  return ::stat(path.c_str(), &about) == 0 ? static_cast<uint64_t>(about.st_size) : UINT64_MAX;
}

void sortByPoint(std::vector<SnapshotFile>& files) {
  std::sort(files.begin(), files.end(), [](const SnapshotFile& a, const SnapshotFile& b) {
    return std::pair(a.point.index, a.point.term) < std::pair(b.point.index, b.point.term);
  });
}

bool endsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

SnapshotWriter::SnapshotWriter(SnapshotFiles& files, group::ReplicaKey replica,
                               raft::LogPoint point, const char* aside)
    : files_(files),
      replica_(replica),
      path_(files.pathOf(replica, point)),
      aside_(path_ + aside),
      point_(point) {}

SnapshotWriter::~SnapshotWriter() {
  if (!finished_ && !stays_ && !isHeld_) ::unlink(aside_.c_str());
}

Result<void> SnapshotWriter::becomeFile() {
  isHeld_ = false;
  if (auto opened = files_.openAside(*this); !opened) return opened;
  return writeAll(file_, aside_, std::exchange(held_, {}));
}

// Handed to the disk as it comes: what gathers until the sync at the end would hold up the log's.
Result<void> SnapshotWriter::write(std::string_view piece) {
  bool large = bytes_ + piece.size() > SmallSnapshots::kContentBytesMax;
  if (isHeld_ && large) {
    if (auto became = becomeFile(); !became) return became;
  }
  if (isHeld_) {
    held_.append(piece);
  } else if (auto wrote = writeAll(file_, aside_, piece); !wrote) {
    return wrote;
  }
  checksum_.add(piece);
  bytes_ += piece.size();
  if (bytes_ - handed_ >= kHandBytes) {
    ::sync_file_range(file_.get(), static_cast<off_t>(handed_),
                      static_cast<off_t>(bytes_ - handed_),
                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                          SYNC_FILE_RANGE_WAIT_AFTER);  // advice: finish() syncs
    handed_ = bytes_;
  }
  return {};
}

Result<void> SnapshotWriter::keepFirst(uint64_t bytes) {
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) {
    return posixFault(aside_, "cut", errno);
  }
  checksum_ = base::RunningChecksum();
  bytes_ = 0;
  auto piece = std::make_unique<char[]>(kPieceBytes);
  while (bytes_ < bytes) {
    size_t wanted = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes - bytes_));
    auto got = readUpTo(file_, aside_, bytes_, piece.get(), wanted);
    if (!got) return got.fault();
    if (*got < wanted) return damage(aside_, "was cut while it was read");
    checksum_.add({piece.get(), *got});
    bytes_ += *got;
  }
  handed_ = bytes_;
  if (::lseek(file_.get(), static_cast<off_t>(bytes), SEEK_SET) < 0) {
    return posixFault(aside_, "go on in", errno);
  }
  return {};
}

Result<size_t> SnapshotWriter::readAt(uint64_t offset, char* to, size_t size) const {
  return readUpTo(file_, aside_, offset, to, size);
}

Result<SnapshotFile> SnapshotWriter::finish() {
  if (isHeld_) {
    if (auto became = becomeFile(); !became) return became.fault();
  }
  if (auto wrote = writeAll(file_, aside_, trailerOf(about())); !wrote) return wrote.fault();
  if (writesOver_ && ::ftruncate(file_.get(), static_cast<off_t>(bytes_ + kTrailerBytes)) != 0) {
    return posixFault(aside_, "cut", errno);
  }
  if (auto synced = syncFile(file_, aside_); !synced) return synced.fault();
  if (::rename(aside_.c_str(), path_.c_str()) != 0) return posixFault(path_, "rename to", errno);
  finished_ = true;
  if (auto synced = syncDirectory(parentOf(path_)); !synced) return synced.fault();
  // A small one of the same point is of the same state, unless this one comes to mend that.
  if (auto removed = files_.small_.remove(replica_, point_); !removed) return removed.fault();
  return about();
}

SnapshotReader::SnapshotReader(FileDescriptor file, std::string held, SnapshotFile about)
    : file_(std::move(file)), held_(std::move(held)), about_(std::move(about)) {}

Result<size_t> SnapshotReader::read(char* to, size_t size) {
  auto got = readAt(offset_, to, size);
  if (got) offset_ += *got;
  return got;
}

Result<size_t> SnapshotReader::readAt(uint64_t offset, char* to, size_t size) const {
  if (offset >= about_.bytes) return size_t{0};
  size_t wanted = static_cast<size_t>(std::min<uint64_t>(size, about_.bytes - offset));
  if (!file_.valid()) return held_.copy(to, wanted, offset);
  auto got = readUpTo(file_, about_.path, offset, to, wanted);
  if (got && *got < wanted) return damage(about_.path, "was cut while it was read");
  return got;
}

std::string SnapshotFiles::directoryOf(group::ReplicaKey replica) const {
  return directory_ + "/" + pairName(replica.group, replica.replica);
}

Result<void> SnapshotFiles::open() {
  if (auto made = makeDirectories(directory_); !made) return made;
  if (auto opened = small_.open(); !opened) return opened;
  auto found = replicasIn(directory_);
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

std::string SnapshotFiles::pathOf(group::ReplicaKey replica, raft::LogPoint point) const {
  return directoryOf(replica) + "/" + pairName(point.index, point.term) + kSuffix;
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotFiles::begin(group::ReplicaKey replica,
                                                             raft::LogPoint point) {
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(*this, replica, point, kAside));
  if (auto opened = openAside(*writer); !opened) return opened.fault();
  return writer;
}

// A large one takes its time: small ones are not to wait for it.
Result<void> SnapshotFiles::openAside(SnapshotWriter& writer) {
  commit();
  if (auto made = makeDirectories(directoryOf(writer.replica_)); !made) return made;
  FileDescriptor spare = spareAt(writer.replica_, writer.aside_);
  writer.writesOver_ = spare.valid();
  auto file = writer.writesOver_ ? Result<FileDescriptor>(std::move(spare))
                                 : openFile(writer.aside_, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return file.fault();
  writer.file_ = std::move(*file);
  return {};
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotFiles::beginSmall(group::ReplicaKey replica,
                                                                  raft::LogPoint point) {
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(*this, replica, point, kAside));
  writer->isHeld_ = true;
  return writer;
}

bool SnapshotFiles::finish(std::unique_ptr<SnapshotWriter> writer, SmallSnapshots::Done done) {
  if (!writer->isHeld_) {
    done(writer->finish());
    return false;
  }
  return small_.stage(writer->replica_, writer->point_, std::move(writer->held_), std::move(done));
}

std::string SnapshotFiles::sparePathOf(group::ReplicaKey replica) const {
  return directoryOf(replica) + kSpare;
}

// A begin() beside finds it only once the directory is synced, so that no name of a snapshot ever
// leads to another's bytes. A spare that was there goes. False: it is as it was.
Result<bool> SnapshotFiles::keepAsSpare(group::ReplicaKey replica, const SnapshotFile& file) {
  if (sizeOf(file.path) > kSpareBytesMax) return false;
  std::string spare = sparePathOf(replica);
  std::string aside = spare + kAside;
  if (::rename(file.path.c_str(), aside.c_str()) != 0) return false;
  if (auto synced = syncDirectory(parentOf(aside)); !synced) return synced.fault();
  if (::rename(aside.c_str(), spare.c_str()) != 0) return posixFault(spare, "rename to", errno);
  return true;
}

// The spare, to be written over under the name `aside`; invalid where there is none, or somebody
// still reads it or has a name of his own for it.
FileDescriptor SnapshotFiles::spareAt(group::ReplicaKey replica, const std::string& aside) {
  if (::rename(sparePathOf(replica).c_str(), aside.c_str()) != 0) return {};
  auto file = openFile(aside, O_WRONLY);
  if (file && isOursAlone(*file, 1)) return std::move(*file);
  ::unlink(aside.c_str());
  return {};
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotFiles::arrive(group::ReplicaKey replica,
                                                              raft::LogPoint point) {
  if (auto made = makeDirectories(directoryOf(replica)); !made) return made.fault();
  auto others = arrivals(replica);
  if (!others) return others.fault();
  std::erase_if(*others, [&](const SnapshotFile& each) { return each.point == point; });
  if (!others->empty()) others->pop_back();  // it has chunks to give
  for (const SnapshotFile& each : *others) {
    if (auto removed = removeFile(each.path); !removed) return removed.fault();
  }
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(*this, replica, point, kArriving));
  auto file = openFile(writer->aside_, O_RDWR | O_CREAT);
  writer->stays_ = true;
  if (!file) return file.fault();
  writer->file_ = std::move(*file);
  return writer;
}

Result<std::vector<std::string>> SnapshotFiles::donors(group::ReplicaKey replica,
                                                       raft::LogPoint point) {
  std::vector<std::string> paths;
  auto whole = list(replica);
  if (!whole) return whole.fault();
  for (const SnapshotFile& each : *whole) paths.push_back(each.path);
  auto parts = arrivals(replica);
  if (!parts) return parts.fault();
  for (const SnapshotFile& each : *parts) {
    if (each.point != point) paths.push_back(each.path);
  }
  return paths;
}

Result<void> SnapshotFiles::removeArrivals(group::ReplicaKey replica) {
  auto files = arrivals(replica);
  if (!files) return files.fault();
  for (const SnapshotFile& each : *files) {
    if (auto removed = removeFile(each.path); !removed) return removed;
  }
  return {};
}

// What of a replica's lies there under such names, by index, rising; nothing of it is opened.
Result<std::vector<SnapshotFile>> SnapshotFiles::named(group::ReplicaKey replica,
                                                       std::string_view suffix) const {
  std::vector<SnapshotFile> files;
  if (!exists(directoryOf(replica))) return files;
  auto names = listDirectory(directoryOf(replica));
  if (!names) return names.fault();
  for (const std::string& name : *names) {
    auto pair = parsePair(name, suffix);
    if (!pair) continue;
    files.push_back({{pair->first, pair->second}, 0, 0, directoryOf(replica) + "/" + name});
  }
  sortByPoint(files);
  return files;
}

Result<std::vector<SnapshotFile>> SnapshotFiles::arrivals(group::ReplicaKey replica) const {
  return named(replica, std::string(kSuffix) + kArriving);
}

Result<std::unique_ptr<SnapshotReader>> SnapshotFiles::read(group::ReplicaKey replica,
                                                            raft::LogPoint point) {
  std::string path = pathOf(replica, point);
  auto file = openFile(path, O_RDONLY);
  if (!file && !exists(path)) {
    auto small = small_.read(replica, point);
    if (!small) return small.fault();
    if (*small) {
      SnapshotFile about{point, (*small)->size(), base::checksum(**small), path};
      return std::unique_ptr<SnapshotReader>(
          new SnapshotReader({}, std::move(**small), std::move(about)));
    }
  }
  if (!file) {
    std::string nor = small_.isThere() ? "; nor is it whole in " + small_.path() : "";
    return Fault{file.fault().code, "snapshot " + file.fault().text + nor, {}};
  }
  auto about = readTrailer(*file, path, point);
  if (!about) return about.fault();
  base::RunningChecksum sum;
  auto piece = std::make_unique<char[]>(kPieceBytes);
  for (uint64_t offset = 0; offset < about->bytes;) {
    size_t wanted = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, about->bytes - offset));
    auto got = readUpTo(*file, path, offset, piece.get(), wanted);
    if (!got) return got.fault();
    if (*got < wanted) return damage(path, "ends early");
    sum.add({piece.get(), *got});
    offset += *got;
  }
  if (sum.value() != about->checksum) return damage(path, "fails its checksum");
  return std::unique_ptr<SnapshotReader>(
      new SnapshotReader(std::move(*file), {}, std::move(*about)));
}

Result<std::vector<SnapshotFile>> SnapshotFiles::list(group::ReplicaKey replica) {
  auto files = named(replica, kSuffix);
  if (!files) return files;
  for (SnapshotFile& about : *files) {
    auto file = openFile(about.path, O_RDONLY);
    if (!file) return file.fault();
    auto trailer = readTrailer(*file, about.path, about.point);
    if (trailer) about = *trailer;
  }
  for (SnapshotFile& each : small_.list(replica)) files->push_back(std::move(each));
  sortByPoint(*files);
  return files;
}

Result<std::optional<SnapshotFile>> SnapshotFiles::newest(group::ReplicaKey replica) {
  auto files = list(replica);
  if (!files) return files.fault();
  if (files->empty()) return std::optional<SnapshotFile>();
  return std::optional<SnapshotFile>(files->back());
}

Result<std::vector<FileDescriptor>> SnapshotFiles::removeOlder(group::ReplicaKey replica,
                                                               raft::Index index) {
  std::vector<FileDescriptor> removed;
  for (const std::string& suffix : {std::string(kSuffix), std::string(kSuffix) + kArriving}) {
    auto files = named(replica, suffix);
    if (!files) return files.fault();
    for (const SnapshotFile& file : *files) {
      if (file.point.index >= index) continue;
      auto kept = suffix == kSuffix ? keepAsSpare(replica, file) : Result<bool>(false);
      if (!kept) return kept.fault();
      if (*kept) continue;
      auto blocks = removeName(file.path);
      if (!blocks) return blocks.fault();
      removed.push_back(std::move(*blocks));
    }
  }
  if (auto small = small_.removeOlder(replica, index); !small) return small.fault();
  return removed;
}

Result<void> SnapshotFiles::removeOthers(group::ReplicaKey replica, raft::Index kept) {
  auto files = named(replica, kSuffix);
  if (!files) return files.fault();
  for (const SnapshotFile& file : *files) {
    if (file.point.index == kept) continue;
    if (auto removed = removeFile(file.path); !removed) return removed;
  }
  return small_.removeOthers(replica, kept);
}

Result<void> SnapshotFiles::removeReplica(group::ReplicaKey replica) {
  if (auto removed = removeTree(directoryOf(replica)); !removed) return removed;
  return small_.removeReplica(replica);
}

Result<std::vector<group::ReplicaKey>> SnapshotFiles::replicas() {
  auto found = replicasIn(directory_);
  if (!found) return found;
  auto small = small_.replicas();
  found->insert(found->end(), small.begin(), small.end());
  std::sort(found->begin(), found->end());
  found->erase(std::unique(found->begin(), found->end()), found->end());
  return found;
}

}  // namespace flotilla::store
