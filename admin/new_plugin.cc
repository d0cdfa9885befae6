// Writes examples/starter under another name.
#include "admin/new_plugin.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sys/random.h>

#include "admin/starter_files.h"

namespace flotilla::admin {
namespace {

constexpr size_t kNameBytesMax = 63;

Fault refused(const std::string& text) {
  return {ErrorCode::badRequest, text, ""};
}

void replaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// A schema's own id: Cap'n Proto wants the highest bit set, and the rest like no other's.
Result<std::string> newSchemaId() {
  uint64_t id = 0;
  if (getrandom(&id, sizeof id, 0) != sizeof id) {
    return refused(std::string("no random numbers: ") + std::strerror(errno));
  }
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "@0x%016llx;",
                static_cast<unsigned long long>(id | uint64_t{1} << 63));
  return std::string(text.data());
}

// The schema's id stands on a line of its own.
void replaceSchemaId(std::string& text, const std::string& id) {
  size_t at = text.find("\n@0x");
  if (at == std::string::npos) return;
  size_t end = text.find('\n', at + 1);
  text.replace(at + 1, end - at - 1, id);
}

}  // namespace

Result<void> checkNewPluginName(const std::string& name) {
  auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  bool good = !name.empty() && name.size() <= kNameBytesMax && letter(name[0]) &&
              std::all_of(name.begin(), name.end(), fits);
  if (!good) {
    return refused("plugin name \"" + name + "\": needs [a-z][a-z0-9_-]{0,62}, as in red-apples");
  }
  // Targets that CMake has for itself.
  for (std::string_view taken :
       {"all", "clean", "depend", "edit_cache", "help", "install", "list_install_components",
        "package", "package_source", "rebuild_cache", "test"}) {
    if (name == taken) {
      return refused("plugin name \"" + name + "\": CMake has a target of that name; take another");
    }
  }
  // Types that every schema has.
  for (std::string_view taken : {"AnyPointer", "AnyStruct", "AnyList", "Bool", "Capability", "Data",
                                 "Float32", "Float64", "Int16", "Int32", "Int64", "Int8", "List",
                                 "Text", "Uint16", "Uint32", "Uint64", "Uint8", "Void"}) {
    if (interfaceNameOf(name) == taken) {
      return refused("plugin name \"" + name + "\": its interface would be called " +
                     std::string(taken) + ", as a type of every schema is; take another");
    }
  }
  return {};
}

std::string interfaceNameOf(const std::string& plugin) {
  std::string out;
  bool upper = true;
  for (char c : plugin) {
    if (c == '-' || c == '_') {
      upper = true;
      continue;
    }
    out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return out;
}

Result<std::vector<std::string>> writeNewPlugin(const std::string& name,
                                                const std::string& folder) {
  Result<std::string> id = newSchemaId();
  if (!id) return id.fault();
  std::error_code failed;
  if (std::filesystem::exists(folder, failed)) {
    return refused(folder + ": is there already; a new plugin gets a folder of its own");
  }
  std::filesystem::create_directories(folder, failed);
  if (failed) return refused(folder + ": cannot be made: " + failed.message());
  std::vector<std::string> written;
  for (const StarterFile& file : starterFiles()) {
    std::string path(file.name);
    std::string text(file.text);
    replaceSchemaId(text, *id);
    replaceAll(path, "starter", name);
    path.insert(0, folder + "/");
    replaceAll(text, "starter", name);
    replaceAll(text, "Starter", interfaceNameOf(name));
    std::ofstream out(path, std::ios::binary);
    out << text << std::flush;
    if (!out) return refused(path + ": cannot be written: " + std::strerror(errno));
    written.push_back(path);
  }
  return written;
}

}  // namespace flotilla::admin
