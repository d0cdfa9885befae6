// The nouns of the command line: what their pages have in common.
#include "admin/nouns.h"

#include <charconv>

namespace flotilla::admin {

CLI::App* addCommand(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->fallthrough();  // so that --json and its like may stand anywhere
  return command;
}

CLI::App* addNoun(CLI::App& root, const std::string& name, const std::string& description) {
  CLI::App* noun = addCommand(root, name, description);
  noun->require_subcommand(1);
  return noun;
}

std::string fullName(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : fullName(*parent) + " " + app.get_name();
}

Result<std::pair<std::string, std::string>> splitPair(const std::string& option,
                                                      const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Fault{ErrorCode::badRequest, option + " \"" + text + "\": write it as name=value", ""};
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

Result<std::vector<uint64_t>> splitIds(const std::string& option, const std::string& text) {
  std::vector<uint64_t> ids;
  size_t from = 0;
  while (from <= text.size() && !text.empty()) {
    size_t comma = std::min(text.find(',', from), text.size());
    uint64_t id = 0;
    const char* end = text.data() + comma;
    auto [stop, error] = std::from_chars(text.data() + from, end, id);
    if (error != std::errc() || stop != end || id == 0) {
      return Fault{ErrorCode::badRequest,
                   option + " \"" + text + "\": not host ids; write them as 1,2,3", ""};
    }
    ids.push_back(id);
    from = comma + 1;
  }
  return ids;
}

}  // namespace flotilla::admin
