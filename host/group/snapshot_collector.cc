// Puts a snapshot file together from what is here already and what another host sends.
#include "host/group/snapshot_collector.h"

#include <cstring>

namespace flotilla::group {

Result<void> SnapshotCollector::begin(const ReadAt& file) {
  auto chunks = listChunks(file);
  if (!chunks) return chunks.fault();
  uint64_t good = 0;
  for (const ChunkAt& chunk : *chunks) {
    stored_.resize(chunk.head.stored);
    auto got = file(chunk.offset, stored_.data(), stored_.size());
    if (!got) return got.fault();
    if (!sumHolds(chunk.head, stored_)) break;
    had_.push_back(chunk);
    good = chunk.offset + chunk.head.stored;
  }
  if (auto kept = part_.keepFirst(good); !kept) return kept;
  return good == 0 ? part_.write(snapshotPrefix()) : Result<void>{};
}

Result<std::string> SnapshotCollector::ask(std::string_view heads) {
  if (stopped_) return stop(ErrorCode::badRequest, "more after its end");
  if (!pending_.empty()) return stop(ErrorCode::badRequest, "chunks are told before the last came");
  if (heads.size() % kChunkHeadBytes != 0 || heads.size() > kChunksAskedMax * kChunkHeadBytes) {
    return stop(ErrorCode::badRequest, std::to_string(heads.size()) + " bytes of heads");
  }
  std::string answer;
  for (; !heads.empty(); heads.remove_prefix(kChunkHeadBytes)) {
    Pending next;
    if (!readChunkHead(heads.substr(0, kChunkHeadBytes), next.head)) {
      return stop(ErrorCode::badRequest, "a head that is none");
    }
    if (!had_.empty() && pending_.empty() && had_.front().head.name == next.head.name) {
      had_.pop_front();
      ++counts_.kept;
      names_.add(next.head.name);
      ended_ = next.head.kind == ChunkKind::end;
      if (next.head.kind == ChunkKind::group) groupBytes_ += next.head.length;
      if (next.head.kind == ChunkKind::machine) machineBytes_ += next.head.length;
      answer.push_back(0);
      continue;
    }
    if (!had_.empty()) {  // it goes on otherwise than what is sent now
      uint64_t good = had_.front().offset - kChunkHeadBytes;
      had_.clear();
      if (auto kept = part_.keepFirst(good); !kept)
        return stop(kept.fault().code, kept.fault().text);
    }
    next.wanted = !donors_.has(next.head.name);
    answer.push_back(next.wanted ? 1 : 0);
    pending_.push_back(next);
  }
  if (auto settled = settle(); !settled) return settled.fault();
  return answer;
}

Result<void> SnapshotCollector::give(std::string_view stored) {
  if (stopped_) return stop(ErrorCode::badRequest, "more after its end");
  while (!stored.empty()) {
    if (pending_.empty()) return stop(ErrorCode::badRequest, "bytes that nobody asked for");
    ChunkHead head = pending_.front().head;
    if (stored.size() < head.stored) return stop(ErrorCode::badRequest, "a chunk that is cut");
    counts_.receivedBytes += head.stored;
    ++counts_.received;
    if (auto done = write(head, stored.substr(0, head.stored)); !done) return done;
    stored.remove_prefix(head.stored);
    if (auto settled = settle(); !settled) return settled;
  }
  return {};
}

Result<void> SnapshotCollector::done() {
  if (stopped_) return stop(ErrorCode::badRequest, "more after its end");
  if (!pending_.empty() || !ended_ || !had_.empty()) {
    return stop(ErrorCode::badRequest, "done before its last chunk");
  }
  stopped_ = true;
  return {};
}

Result<void> SnapshotCollector::settle() {
  while (!pending_.empty() && !pending_.front().wanted) {
    ChunkHead head;
    std::string stored;
    if (!donors_.take(pending_.front().head.name, head, stored)) {
      return stop(ErrorCode::unavailable, nameOfNext() + " is damaged in an older file here");
    }
    ++counts_.copied;
    if (auto done = write(head, stored); !done) return done;
  }
  return {};
}

Result<void> SnapshotCollector::write(const ChunkHead& head, std::string_view stored) {
  bool good = head.name == pending_.front().head.name && unpackChunk(head, stored, bytes_);
  if (!good) return stop(ErrorCode::unavailable, nameOfNext() + " fails its checksum");
  if (auto judged = judge(head); !judged) return judged;
  if (auto wrote = part_.write(viewOf(head)); !wrote)
    return stop(wrote.fault().code, wrote.fault().text);
  if (auto wrote = part_.write(stored); !wrote) return stop(wrote.fault().code, wrote.fault().text);
  names_.add(head.name);
  ended_ = head.kind == ChunkKind::end;
  pending_.pop_front();
  return {};
}

// Whether a good chunk may stand here.
Result<void> SnapshotCollector::judge(const ChunkHead& head) {
  if (ended_) return stop(ErrorCode::badRequest, "has chunks after its end");
  if ((head.kind == ChunkKind::head) != (names_.count == 0)) {
    return stop(ErrorCode::badRequest, "does not begin with its head");
  }
  if (head.kind == ChunkKind::group) groupBytes_ += bytes_.size();
  if (head.kind == ChunkKind::machine) machineBytes_ += bytes_.size();
  if (head.kind == ChunkKind::head) {
    SnapshotHead about;
    bool ours = readSnapshotHead(bytes_, about) && about.group == wanted_.group &&
                about.point == wanted_.point;
    if (!ours) return stop(ErrorCode::badRequest, "is another one than was announced");
  }
  if (head.kind == ChunkKind::end) {
    SnapshotEnd end;
    if (bytes_.size() != sizeof end) return stop(ErrorCode::badRequest, "has no proper end");
    std::memcpy(&end, bytes_.data(), sizeof end);
    bool ours = end.groupBytes == groupBytes_ && end.machineBytes == machineBytes_ &&
                end.chunks == names_.count && end.names == names_.all;
    if (!ours) return stop(ErrorCode::badRequest, "has other chunks than its end says");
  }
  return {};
}

Fault SnapshotCollector::stop(ErrorCode code, const std::string& text) {
  stopped_ = true;
  bool own = code == ErrorCode::badRequest || code == ErrorCode::unavailable;
  return {code, own ? "snapshot: " + text : text, {}};
}

std::string SnapshotCollector::nameOfNext() const {
  return "chunk " + std::to_string(names_.count);
}

}  // namespace flotilla::group
