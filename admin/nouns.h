// The nouns of the command line: each page adds its commands.
#pragma once

#include <CLI/CLI.hpp>

#include "admin/command.h"

namespace flotilla::admin {

// Where a command, once recognised, puts what is to be run.
struct Chosen {
  Run run;
};

void addHostCommands(CLI::App& root, Chosen& chosen);
void addPluginCommands(CLI::App& root, Chosen& chosen);
void addGroupCommands(CLI::App& root, Chosen& chosen);
void addCallCommand(CLI::App& root, Chosen& chosen);
void addEventsCommand(CLI::App& root, Chosen& chosen);
void addStatusCommand(CLI::App& root, Chosen& chosen);
void addTopCommand(CLI::App& root, Chosen& chosen);
void addPlaygroundCommands(CLI::App& root, Chosen& chosen);

// One command under a noun, or under the root, with what all have in common.
CLI::App* addCommand(CLI::App& parent, const std::string& name, const std::string& description);
// A noun, which must be followed by one of its commands.
CLI::App* addNoun(CLI::App& root, const std::string& name, const std::string& description);
// The command as it is typed: "flotilla group create".
std::string fullName(const CLI::App& app);

// key=value; the fault names the option.
Result<std::pair<std::string, std::string>> splitPair(const std::string& option,
                                                      const std::string& text);
// 1,2,3 as host ids.
Result<std::vector<uint64_t>> splitIds(const std::string& option, const std::string& text);

}  // namespace flotilla::admin
