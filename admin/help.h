// How `flotilla` explains itself.
#pragma once

#include <CLI/CLI.hpp>

namespace flotilla::admin {

// Help in the house's form: usage, what it does, its words and options, where they come from.
//
// Thread: main's.
// Errors: none.
class Help final : public CLI::Formatter {
public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

}  // namespace flotilla::admin
