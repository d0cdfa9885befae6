// The plugins of this host: files, and the libraries opened from them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <capnp/common.h>
#include <kj/array.h>

#include "flotilla/abi.h"
#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/plugin/library.h"
#include "host/plugin/machine.h"
#include "host/plugin/plugin_files.h"

namespace flotilla::runtime {

// What a look at a plugin's file gave.
struct PluginSummary {
  std::string name;
  std::string version;
  std::string sha256;
  uint64_t bytes = 0;
  kj::Array<capnp::word> description;  // client.capnp PluginDescription, a flat message
};

// Opens each file once, after it has been probed in a child and hashed again; what was opened
// stays.
//
// Owner:  Host's parts.
// Thread: any; all but `has` may wait for the disk or a child process.
// Errors: badRequest for a file that is unfit, with what is wrong with it; denied where
//         plugins.trusted does not allow it; corrupt for a damaged copy.
class PluginRoom {
public:
  static Result<std::unique_ptr<PluginRoom>> open(const std::string& directory,
                                                  plugin::TrustedPlugins trusted,
                                                  std::string checker);

  // Stores the bytes, probes them and opens them. Unfit ones are not kept.
  Result<PluginSummary> add(std::string_view bytes);
  bool has(const std::string& sha256) const { return files_.has(sha256); }
  std::vector<std::string> list() const { return files_.list(); }
  Result<std::string> read(const std::string& sha256) const { return files_.read(sha256); }

  // The descriptor of a stored plugin, opened now if it was not yet.
  Result<const flotilla_descriptor*> descriptor(const std::string& sha256);
  Result<PluginSummary> describe(const std::string& sha256);
  // Whether a stored plugin's machine can be made of these settings, tried in a child process; what
  // fitted once is not tried again. Where not, the text is the machine's own.
  Result<void> trySettings(const std::string& sha256, const plugin::Settings& settings);
  // Whether that machine can be made of them and then load what another one has saved; in a child
  // process, too, from a copy on the disk.
  Result<void> tryState(const std::string& sha256, const plugin::Settings& settings,
                        const group::Capture& state);

private:
  static constexpr std::size_t kFittedMax = 1024;

  PluginRoom(std::string directory, plugin::PluginFiles files, plugin::TrustedPlugins trusted,
             std::string checker)
      : directory_(std::move(directory)),
        files_(std::move(files)),
        trusted_(std::move(trusted)),
        checker_(std::move(checker)) {}

  Result<const flotilla_descriptor*> openProbed(const std::string& sha256);

  std::string directory_;
  std::atomic<uint64_t> tried_{0};  // states, so far: their files have names of their own
  plugin::PluginFiles files_;
  plugin::TrustedPlugins trusted_;
  std::string checker_;
  std::mutex mutex_;  // of opened_; held while one is probed and opened, so that it happens once
  std::map<std::string, const flotilla_descriptor*> opened_;
  std::mutex fittedMutex_;
  std::set<std::string> fitted_;  // hashes of a plugin and settings that its machine took
};

}  // namespace flotilla::runtime
