// Which generations a volume's log is made of: announced before they are made, dropped before they
// go.
#include "host/store/generation_list.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <sstream>

#include "host/base/checksum.h"

namespace flotilla::store {

namespace {

// Who knows of version 1 alone would take masked generations for damaged ones.
constexpr const char* kTitle = "flotilla generations 1";
constexpr const char* kTitleOfMasked = "flotilla generations 2";

std::string checksumLine(const std::string& body) {
  char line[40];
  std::snprintf(line, sizeof line, "checksum %016" PRIx64 "\n", base::checksum(body));
  return line;
}

}  // namespace

std::string generationListPath(const std::string& volumePath) {
  return volumePath + "/generations";
}

std::string generationPath(const std::string& volumePath, uint64_t number) {
  char name[40];
  std::snprintf(name, sizeof name, "/generation-%06" PRIu64, number);
  return volumePath + name;
}

std::string GenerationList::text() const {
  std::ostringstream out;
  bool anyMasked =
      std::any_of(whole.begin(), whole.end(), [](const auto& it) { return it.masked; });
  out << (anyMasked ? kTitleOfMasked : kTitle) << '\n';
  for (const ListedGeneration& it : whole) {
    out << "generation " << it.number << " from " << it.firstFrame << " whole"
        << (it.masked ? " masked\n" : "\n");
  }
  if (making) {
    out << "generation " << making->number << " from " << making->firstFrame << " making\n";
  }
  return out.str() + checksumLine(out.str());
}

Result<GenerationList> GenerationList::parse(const std::string& path, const std::string& text) {
  auto damage = [&](const std::string& what) {
    return Fault{ErrorCode::corrupt, path + ": " + what, {}};
  };
  size_t last = text.rfind("checksum ");
  if (last == std::string::npos || text.substr(last) != checksumLine(text.substr(0, last))) {
    return damage("fails its checksum");
  }
  std::istringstream in(text.substr(0, last));
  std::string line;
  std::getline(in, line);
  if (line != kTitle && line != kTitleOfMasked)
    return damage("written by another version: " + line);
  GenerationList list;
  ListedGeneration before;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string generation, from, state, masked;
    ListedGeneration it;
    words >> generation >> it.number >> from >> it.firstFrame >> state >> masked;
    it.masked = masked == "masked";
    bool rises = it.number > before.number && it.firstFrame >= before.firstFrame;
    bool known = (state == "whole" || state == "making") && (it.masked || masked.empty());
    if (generation != "generation" || from != "from" || !known || !rises || list.making) {
      return damage("a line makes no sense: " + line);
    }
    if (state == "whole") {
      list.whole.push_back(it);
    } else {
      list.making = it;
    }
    before = it;
  }
  return list;
}

uint64_t GenerationList::nextNumber() const {
  if (making) return making->number + 1;
  return whole.empty() ? 1 : whole.back().number + 1;
}

}  // namespace flotilla::store
