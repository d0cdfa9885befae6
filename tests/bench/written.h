// What was written, remembered for a sample of keys.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla::bench {

// A key by its group and its number there.
struct KeyId {
  uint32_t group = 0;
  uint32_t key = 0;

  auto operator<=>(const KeyId&) const = default;
};

// Writes the value of a key's put into `to`, all of it: another for each key and each put.
void fillValue(KeyId key, uint64_t put, char* to, size_t bytes);

// Knows for each key of a sample which puts its value may come from. A put that was answered drops
// what had been answered before it began; one without an answer may still be carried out, at any
// later time, and stays.
//
// Owner:  Load.
// Thread: its owner's.
// Errors: none.
class Written {
public:
  // Remembers one key in `every`, at most kKeysMax of them.
  explicit Written(uint32_t every) : every_(every == 0 ? 1 : every) {}

  static constexpr size_t kKeysMax = 10'000;

  void began(KeyId key, uint64_t put);
  void answered(KeyId key, uint64_t put);

  std::vector<KeyId> keys() const;  // those for which a put was answered
  bool mayBe(KeyId key, std::string_view value) const;

private:
  struct Put {
    uint64_t put = 0;
    uint64_t began = 0;     // moments are counted, not measured
    uint64_t answered = 0;  // 0: not
  };
  bool chosen(KeyId key) const { return (key.key + key.group) % every_ == 0; }

  uint32_t every_;
  uint64_t moment_ = 0;
  std::map<KeyId, std::vector<Put>> puts_;
};

}  // namespace flotilla::bench
