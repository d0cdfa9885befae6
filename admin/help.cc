// How `flotilla` explains itself.
#include "admin/help.h"

#include <algorithm>
#include <sstream>

#include "admin/nouns.h"

namespace flotilla::admin {
namespace {

constexpr size_t kWidth = 88;
constexpr size_t kNameWidthMax = 26;

// Columns that a text takes: its characters, not its bytes.
size_t widthOf(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// Words in lines of at most kWidth, each after `indent`; the first line goes on where one stands.
std::string wrapped(const std::string& text, size_t indent) {
  std::istringstream words(text);
  std::string out;
  size_t column = indent;
  for (std::string word; words >> word;) {
    if (column + 1 + widthOf(word) > kWidth && column > indent) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!out.empty()) {
      out += " ";
      ++column;
    }
    out += word;
    column += widthOf(word);
  }
  return out;
}

std::string nameOf(const CLI::Option& option) {
  bool positional = !option.nonpositional();
  std::string name = positional ? option.get_name(true) : option.get_name(false, true);
  std::string type = option.get_type_name();
  return positional || type.empty() ? name : name + " " + type;
}

bool isHelp(const CLI::App& app, const CLI::Option* option) {
  return option == app.get_help_ptr() || option == app.get_version_ptr();
}

std::string usage(const CLI::App& app) {
  std::string out = "Usage: " + fullName(app);
  if (!app.get_subcommands({}).empty()) out += " COMMAND";
  for (const CLI::Option* option : app.get_options()) {
    if (isHelp(app, option)) continue;
    bool positional = !option->nonpositional();
    if (!positional && !option->get_required()) continue;
    std::string name = nameOf(*option);
    bool many = positional && option->get_items_expected_max() > 1;
    out += option->get_required() ? " " + name : " [" + name + (many ? "…" : "") + "]";
  }
  return out + " [options]\n";
}

// "  name   what it is", the second column where the widest name leaves room for it.
std::string rows(const std::vector<std::pair<std::string, std::string>>& list) {
  size_t widest = 0;
  for (const auto& [name, text] : list)
    widest = std::max(widest, std::min<size_t>(widthOf(name), kNameWidthMax));
  std::string out;
  for (const auto& [name, text] : list) {
    out += "  " + name;
    size_t at = widthOf(name);
    if (at > widest) {
      out += "\n" + std::string(2 + widest + 2, ' ');
    } else {
      out += std::string(widest - at + 2, ' ');
    }
    out += wrapped(text, 2 + widest + 2) + "\n";
  }
  return out;
}

std::string optionsOf(const CLI::App& app) {
  std::vector<std::pair<std::string, std::string>> list;
  for (bool positional : {true, false}) {
    for (const CLI::Option* option : app.get_options()) {
      if (isHelp(app, option) || option->nonpositional() == positional) continue;
      list.emplace_back(nameOf(*option), option->get_description());
    }
  }
  return list.empty() ? "" : "\n" + rows(list);
}

}  // namespace

std::string Help::make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const {
  std::string out = usage(*app) + "\n" + wrapped(app->get_description(), 0) + "\n";
  std::vector<std::pair<std::string, std::string>> commands;
  for (const CLI::App* command : app->get_subcommands({})) {
    std::string text = command->get_description();
    size_t sentence = std::min(text.find(". "), text.size() - 1);
    commands.emplace_back(command->get_name(), text.substr(0, sentence + 1));
  }
  if (!commands.empty()) out += "\n" + rows(commands);
  out += optionsOf(*app);
  const CLI::App* root = app;
  while (root->get_parent() != nullptr) root = root->get_parent();
  if (root != app) out += "\nOptions of every command:\n" + optionsOf(*root).substr(1);
  return out;
}

}  // namespace flotilla::admin
