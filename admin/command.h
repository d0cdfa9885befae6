// What every command of `flotilla` has in common: options, exit codes, where words go.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sdk/flotilla/result.h"

namespace flotilla::admin {

using Json = nlohmann::ordered_json;

// What a shell sees of a command.
enum class Exit : int {
  done = 0,     // or so already
  refused = 1,  // by the cluster
  usage = 2,    // the command line, or a file of ours
  nowhere = 3,  // no host reached, nothing sent
  unknown = 4,  // sent, and nobody knows what became of it
};

// The options that every command takes.
struct Options {
  std::string connect;    // empty: the default
  std::string tokenFile;  // empty: the default
  bool json = false;
  uint64_t timeoutMs = 0;  // 0: the command's own
};

// What main runs once the command line has been read.
using Run = std::function<Exit(const Options&)>;

// Says on stderr, in one line, why a command did not do its work.
//
// Thread: main's.
// Errors: none.
class Speaker {
public:
  Speaker(bool json, std::string command) : json_(json), command_(std::move(command)) {}

  // Something of this side: an argument, a file.
  Exit usage(const std::string& text) const;
  // The cluster's word, or silence. `reached`: some host let us in.
  Exit fault(const Fault& fault, bool reached = true) const;

private:
  bool json_;
  std::string command_;
};

// {"code","text","maybeDone"}, and "appCode" where the machine's author gave one.
Json errorObject(const Fault& fault);
Exit exitFor(const Fault& fault, bool reached);

// [a-z0-9][a-z0-9._-]{0,62}, or `id:` and a number; the fault says what is wrong with it.
Result<void> checkGroupName(const std::string& name, bool idAllowed);

// A whole file of ours; the fault names it.
Result<std::string> readFile(const std::string& path, size_t bytesMax);

}  // namespace flotilla::admin
