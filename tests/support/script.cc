// Histories in text.
#include "tests/support/script.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

namespace flotilla::test {

namespace {

const char* const kDashes = "----";

Command parse(const std::string& line) {
  Command command;
  command.line = line;
  std::istringstream in(line);
  in >> command.verb;
  std::string word;
  while (in >> word) {
    size_t equals = word.find('=');
    if (equals == std::string::npos) {
      command.words.push_back(word);
    } else {
      command.named.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
  }
  return command;
}

uint64_t toNumber(const Command& command, const std::string& text) {
  size_t used = 0;
  uint64_t number = 0;
  if (!text.empty() && text[0] >= '0' && text[0] <= '9') number = std::stoull(text, &used);
  if (used == 0 || used != text.size()) {
    FAIL("script: \"", command.line, "\": \"", text, "\" is not a number");
  }
  return number;
}

std::vector<std::string> linesOf(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(),
                  "script " << path << ": cannot be read; run tests from the tree's root");
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

bool Command::has(const std::string& name) const {
  for (const auto& [key, value] : named) {
    if (key == name) return true;
  }
  for (const std::string& word : words) {
    if (word == name) return true;
  }
  return false;
}

std::string Command::value(const std::string& name, const std::string& otherwise) const {
  for (const auto& [key, value] : named) {
    if (key == name) return value;
  }
  return otherwise;
}

uint64_t Command::number(const std::string& name, uint64_t otherwise) const {
  std::string text = value(name);
  return text.empty() ? otherwise : toNumber(*this, text);
}

std::vector<uint64_t> Command::numbers(const std::string& name) const {
  std::vector<uint64_t> numbers;
  std::istringstream in(value(name));
  for (std::string item; std::getline(in, item, ',');) numbers.push_back(toNumber(*this, item));
  return numbers;
}

uint64_t Command::word(size_t place) const {
  REQUIRE_MESSAGE(place < words.size(), "script: \"" << line << "\": a word is missing");
  return toNumber(*this, words[place]);
}

void runScript(const std::string& path, const std::function<std::string(const Command&)>& run) {
  const char* wish = std::getenv("REWRITE");
  bool rewrite = wish != nullptr && std::string(wish) == "1";
  std::vector<std::string> lines = linesOf(path);
  std::string out;
  size_t commands = 0;
  for (size_t at = 0; at < lines.size(); ++at) {
    out += lines[at] + "\n";
    if (lines[at].empty() || lines[at][0] == '#') continue;
    size_t stimulusLine = at + 1;
    Command command = parse(lines[at]);
    if (at + 1 < lines.size() && lines[at + 1] == kDashes) ++at;
    std::string expected;
    while (at + 1 < lines.size() && !lines[at + 1].empty()) expected += lines[++at] + "\n";
    std::string found = run(command);
    ++commands;
    out += std::string(kDashes) + "\n" + found;
    if (!rewrite) {
      CHECK_MESSAGE(found == expected, path << ":" << stimulusLine << ": " << command.line
                                            << "\nexpected:\n"
                                            << expected << "found:\n"
                                            << found);
    }
  }
  REQUIRE_MESSAGE(commands > 0, "script " << path << ": has no stimulus");
  if (rewrite) std::ofstream(path) << out;
}

}  // namespace flotilla::test
