// Histories in text: a stimulus, a line of dashes, and the facts that followed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace flotilla::test {

// One stimulus: a verb, plain words, and name=value pairs, in any order.
struct Command {
  std::string line;
  std::string verb;
  std::vector<std::string> words;
  std::vector<std::pair<std::string, std::string>> named;

  bool has(const std::string& name) const;
  std::string value(const std::string& name, const std::string& otherwise = "") const;
  uint64_t number(const std::string& name, uint64_t otherwise = 0) const;
  std::vector<uint64_t> numbers(const std::string& name) const;  // "1,2,3"
  uint64_t word(size_t place) const;                             // a plain word that is a number
};

// Runs each stimulus of the file through `run` and compares what it gives with the facts beneath
// it; each difference is a doctest failure that names file, line and stimulus. A line that begins
// with # is a comment. With REWRITE=1 in the environment the facts are replaced by what was given,
// and reading the file's diff is the test.
void runScript(const std::string& path, const std::function<std::string(const Command&)>& run);

}  // namespace flotilla::test
