// Which generations a volume's log is made of: announced before they are made, dropped before they
// go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::store {

struct ListedGeneration {
  uint64_t number = 0;      // from 1, never reused
  uint64_t firstFrame = 0;  // frames from here on are its own; what an older one holds is void
  bool masked = false;      // its journals are read as JournalEnv reads them

  bool operator==(const ListedGeneration&) const = default;
};

// PATH/generations, a text file that is replaced whole. A generation in `whole` must be there and
// read back; one that is `making` holds nothing that anyone was told of, and is made anew. That its
// announcement lies outside of LevelDB is what tells a lost generation from one not yet begun.
struct GenerationList {
  std::vector<ListedGeneration> whole;  // rising in number and first frame
  std::optional<ListedGeneration> making;

  std::string text() const;
  static Result<GenerationList> parse(const std::string& path, const std::string& text);

  uint64_t nextNumber() const;
};

std::string generationListPath(const std::string& volumePath);
std::string generationPath(const std::string& volumePath, uint64_t number);

}  // namespace flotilla::store
