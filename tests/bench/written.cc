// What was written, remembered for a sample of keys.
#include "tests/bench/written.h"

#include <algorithm>
#include <cstring>

namespace flotilla::bench {
namespace {

uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

void fillValue(KeyId key, uint64_t put, char* to, size_t bytes) {
  uint64_t word = mixed((uint64_t{key.group} << 32 | key.key) ^ mixed(put));
  for (; bytes >= sizeof word; bytes -= sizeof word, to += sizeof word) {
    std::memcpy(to, &word, sizeof word);
    word = word * 6364136223846793005ULL + 1442695040888963407ULL;
  }
  if (bytes != 0) std::memcpy(to, &word, bytes);
}

void Written::began(KeyId key, uint64_t put) {
  if (!chosen(key)) return;
  auto found = puts_.find(key);
  if (found == puts_.end()) {
    if (puts_.size() >= kKeysMax) return;
    found = puts_.emplace(key, std::vector<Put>{}).first;
  }
  found->second.push_back({put, ++moment_, 0});
}

void Written::answered(KeyId key, uint64_t put) {
  if (!chosen(key)) return;
  auto found = puts_.find(key);
  if (found == puts_.end()) return;
  std::vector<Put>& puts = found->second;
  auto at = std::find_if(puts.begin(), puts.end(), [put](const Put& it) { return it.put == put; });
  if (at == puts.end()) return;
  at->answered = ++moment_;
  uint64_t began = at->began;
  std::erase_if(puts, [began](const Put& it) { return it.answered != 0 && it.answered < began; });
}

std::vector<KeyId> Written::keys() const {
  std::vector<KeyId> keys;
  for (const auto& [key, puts] : puts_) {
    bool sure =
        std::any_of(puts.begin(), puts.end(), [](const Put& it) { return it.answered != 0; });
    if (sure) keys.push_back(key);
  }
  return keys;
}

bool Written::mayBe(KeyId key, std::string_view value) const {
  auto found = puts_.find(key);
  if (found == puts_.end()) return false;
  std::string expected(value.size(), 0);
  for (const Put& it : found->second) {
    fillValue(key, it.put, expected.data(), expected.size());
    if (expected == value) return true;
  }
  return false;
}

}  // namespace flotilla::bench
