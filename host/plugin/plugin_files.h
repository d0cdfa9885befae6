// Plugins on this host's disk, by what they contain.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"

namespace flotilla::plugin {

// SHA-256 in lower-case hex.
std::string sha256Of(std::string_view bytes);

// Read-only copies of plugins, data_dir/plugins/<sha256>.so. The name is the content: a path is
// never used for other bytes, which the loader would not notice.
//
// Owner:  runtime.
// Thread: any.
// Errors: `io` with errno's words; `corrupt` for a file that is not what its name says;
//         `badRequest` for a hash that is not here.
class PluginFiles {
public:
  static constexpr size_t kFileBytesMax = 48 * 1024 * 1024;

  // `directory` is made where it is missing, and swept of what a crash left unfinished.
  static Result<PluginFiles> open(std::string directory);

  // Writes the bytes aside, syncs, renames, syncs the directory; gives their hash. Again: nothing.
  Result<std::string> add(std::string_view bytes) const;
  bool has(const std::string& sha256) const;
  std::vector<std::string> list() const;
  // The file's bytes, hashed again. A damaged file is renamed to *.damaged: it is here no more.
  Result<std::string> read(const std::string& sha256) const;
  // The file's path, after its bytes have been hashed again: what Library::open may be given.
  Result<std::string> verifiedPath(const std::string& sha256) const;
  std::string pathOf(const std::string& sha256) const;

private:
  explicit PluginFiles(std::string directory) : directory_(std::move(directory)) {}

  std::string directory_;
};

// plugins.trusted of host.toml: whose plugins may be opened here. Empty: none.
//
// Thread: any.
// Errors: parse answers badRequest for a word that is neither "operators" nor a hash.
class TrustedPlugins {
public:
  static Result<TrustedPlugins> parse(const std::vector<std::string>& words);

  // `pushedByOperator`: the catalog says that an operator pushed it.
  bool allows(const std::string& sha256, bool pushedByOperator) const;

private:
  bool operators_ = false;
  std::vector<std::string> hashes_;
};

}  // namespace flotilla::plugin
