// Names of two numbers.
#include "host/store/pair_names.h"

#include <charconv>

#include "host/store/files.h"

namespace flotilla::store {
namespace {

bool takeNumber(std::string_view& text, uint64_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

std::string pairName(uint64_t first, uint64_t second) {
  return std::to_string(first) + "-" + std::to_string(second);
}

std::optional<std::pair<uint64_t, uint64_t>> parsePair(std::string_view name,
                                                       std::string_view suffix) {
  std::pair<uint64_t, uint64_t> pair;
  if (!takeNumber(name, pair.first) || name.empty() || name.front() != '-') return std::nullopt;
  name.remove_prefix(1);
  if (!takeNumber(name, pair.second) || name != suffix) return std::nullopt;
  return pair;
}

Result<std::vector<group::ReplicaKey>> replicasIn(const std::string& directory) {
  auto names = listDirectory(directory);
  if (!names) return names.fault();
  std::vector<group::ReplicaKey> keys;
  for (const std::string& name : *names) {
    if (auto pair = parsePair(name, "")) keys.push_back({pair->first, pair->second});
  }
  return keys;
}

}  // namespace flotilla::store
