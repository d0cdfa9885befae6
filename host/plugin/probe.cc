// Tries plugins in child processes, and tells what became of the children.
#include "host/plugin/probe.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <capnp/compat/json.h>
#include <capnp/message.h>

#include "host/plugin/check.h"
#include "host/plugin/child.h"

namespace flotilla::plugin {
namespace {

constexpr int kCheckMs = 10'000;
constexpr int kStateMs = 60'000;  // with a state to load

int timeOf(const Trial& trial) {
  return trial.stateFile.empty() ? kCheckMs : kStateMs;
}

Fault badPlugin(const std::string& text) {
  return {ErrorCode::badRequest, text, {}};
}

// What the child says over its pipe: records of a letter, text, and a NUL.
enum Word : char { kStage = 's', kProblem = 'e', kFacts = 'j' };

void say(int fd, Word word, const std::string& text) {
  std::string record = static_cast<char>(word) + text;
  record += '\0';
  // To a pipe that the parent drains; if the parent is gone nobody cares.
  std::string_view left = record;
  while (!left.empty()) {
    ssize_t written = ::write(fd, left.data(), left.size());
    if (written <= 0) return;
    left.remove_prefix(static_cast<size_t>(written));
  }
}

[[noreturn]] void checkInChild(const std::string& file, const Trial& trial, int fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  // What a plugin's constructors print is not what we were asked for.
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int stream : {0, 1, 2}) dup2(null, stream);
  Result<std::string> checked =
      checkHere(file, trial, [fd](const std::string& stage) { say(fd, kStage, stage); });
  say(fd, checked ? kFacts : kProblem, checked ? *checked : checked.fault().text);
  _exit(checked ? 0 : 1);  // statics of the plugin are not asked to end well
}

// The facts, or why there are none.
Result<std::string> judged(const std::string& file, const ChildEnd& end, int timeMs) {
  std::string stage = "it was started";
  for (size_t at = 0; at < end.out.size();) {
    size_t limit = end.out.find('\0', at);
    if (limit == std::string::npos) break;
    std::string text = end.out.substr(at + 1, limit - at - 1);
    switch (end.out[at]) {
      case kStage:
        stage = text;
        break;
      case kProblem:
        return badPlugin(text);
      case kFacts:
        return text;
      default:
        break;
    }
    at = limit + 1;
  }
  std::string who = "plugin " + file + ": ";
  if (end.timedOut) {
    return badPlugin(who + "hung while " + stage + ", for more than " +
                     std::to_string(timeMs / 1000) + " s; nothing there may wait");
  }
  if (end.signal != 0) {
    return badPlugin(who + "crashed while " + stage + " (" + signalName(end.signal) +
                     "); gdb -ex 'set follow-fork-mode child' -ex run --args "
                     "flotilla-plugin-check FILE shows where");
  }
  return badPlugin(who + "ended its process while " + stage + " (exit code " +
                   std::to_string(end.exitCode) + "); a plugin never calls exit");
}

Result<std::string> checkInOwnChild(const std::string& file, const Trial& trial) {
  std::array<int, 2> words{};
  if (::pipe2(words.data(), O_CLOEXEC) != 0) return badPlugin("plugin " + file + ": no pipe");
  pid_t child = ::fork();
  if (child == 0) {
    ::close(words[0]);
    setpgid(0, 0);
    checkInChild(file, trial, words[1]);
  }
  ::close(words[1]);
  if (child < 0) {
    ::close(words[0]);
    return badPlugin("plugin " + file + ": no process to try it in");
  }
  int timeMs = timeOf(trial);
  return judged(file, awaitChild(child, words[0], -1, timeMs), timeMs);
}

void printForPeople(const PluginFacts& facts) {
  std::printf("plugin %s %s: interface @0x%llx, state version %u\n", facts.name.c_str(),
              facts.version.c_str(), static_cast<unsigned long long>(facts.interfaceId),
              facts.stateVersion);
  for (const auto& method : facts.methods) {
    std::printf("  %-8s %s\n", method.query ? "query" : "command", method.name.c_str());
  }
}

// A JSON object's member; null where it has none.
capnp::JsonValue::Reader member(capnp::JsonValue::Reader object, std::string_view name) {
  for (auto field : object.getObject()) {
    if (std::string_view(field.getName().cStr()) == name) return field.getValue();
  }
  return {};
}

uint64_t numberOf(capnp::JsonValue::Reader value) {
  if (value.isNumber()) return static_cast<uint64_t>(value.getNumber());
  return std::strtoull(value.getString().cStr(), nullptr, 10);
}

Result<PluginFacts> factsOf(const std::string& json) {
  try {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<capnp::JsonValue>();
    capnp::JsonCodec().decodeRaw(kj::arrayPtr(json.data(), json.size()), root);
    PluginFacts facts;
    facts.name = member(root, "name").getString().cStr();
    facts.version = member(root, "version").getString().cStr();
    facts.interfaceId = numberOf(member(root, "interfaceId"));
    facts.stateVersion = static_cast<uint32_t>(numberOf(member(root, "stateVersion")));
    for (auto method : member(root, "methods").getArray()) {
      facts.methods.push_back(
          {numberOf(member(method, "interfaceId")),
           static_cast<uint32_t>(numberOf(member(method, "method"))),
           member(method, "name").getString().cStr(),
           std::string_view(member(method, "kind").getString().cStr()) == "query"});
    }
    return facts;
  } catch (const kj::Exception& exception) {
    return badPlugin(std::string("the checker's answer cannot be read: ") +
                     exception.getDescription().cStr());
  }
}

}  // namespace

int checkPluginMain(const std::string& file, bool json, const Trial& trial) {
  if (::access(file.c_str(), R_OK) != 0) {
    std::fprintf(stderr, "plugin %s: cannot be read; is the path right?\n", file.c_str());
    return 2;
  }
  Result<std::string> checked = checkInOwnChild(file, trial);
  Result<PluginFacts> facts = checked ? factsOf(*checked) : checked.fault();
  if (!facts) {
    std::fprintf(stderr, "%s\n", facts.fault().text.c_str());
    return 1;
  }
  if (json) {
    std::printf("%s\n", checked->c_str());
  } else {
    printForPeople(*facts);
  }
  return 0;
}

std::optional<Settings::value_type> settingFrom(const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return Settings::value_type{text.substr(0, equals), text.substr(equals + 1)};
}

Result<PluginFacts> probe(const std::string& checker, const std::string& file, int timeoutMs,
                          const Trial& trial) {
  std::vector<std::string> command{checker, "--check-plugin", file, "--json"};
  if (trial.settings) command.push_back("--as-given");
  for (const auto& [key, value] : trial.settings.value_or(Settings{})) {
    std::string text = key + "=" + value;
    // What a command line cannot carry, no struct's field is called.
    if (settingFrom(text) != Settings::value_type{key, value} ||
        text.find('\0') != std::string::npos) {
      return badPlugin("plugin " + file + ": config " + key +
                       ": a key holds no '=', and neither it nor its value a NUL; leave it out");
    }
    command.push_back("--setting=" + text);
  }
  if (!trial.stateFile.empty()) command.push_back("--state=" + trial.stateFile);
  Result<ChildEnd> ran = runChild(command, timeoutMs);
  if (!ran) return ran.fault();
  if (ran->timedOut) {
    return badPlugin("plugin " + file + ": its check did not end within " +
                     std::to_string(timeoutMs) + " ms; nothing in it may wait while it is loaded");
  }
  if (ran->exitCode == 0) return factsOf(ran->out);
  std::string line = ran->err.substr(0, ran->err.find('\n'));
  if (line.empty()) {
    line = "plugin " + file + ": its check ended without a word" +
           (ran->signal != 0 ? " (" + signalName(ran->signal) + ")" : std::string());
  }
  return badPlugin(line);
}

}  // namespace flotilla::plugin
