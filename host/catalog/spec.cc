// What is asked of a group, judged.
#include "host/catalog/spec.h"

#include <algorithm>

namespace flotilla::catalog {
namespace {

Fault refuse(const SpecRecord& spec, const std::string& text) {
  return Fault{ErrorCode::badRequest, "group " + spec.name + ": " + text, ""};
}

// The first that a sorted list holds twice; 0: none.
uint64_t repeated(const std::vector<uint64_t>& sorted) {
  auto at = std::adjacent_find(sorted.begin(), sorted.end());
  return at == sorted.end() ? 0 : *at;
}

Result<void> checkSettings(const SpecRecord& spec, const std::vector<OptionText>& settings,
                           const std::string& what) {
  if (settings.size() > kSettingsMax) {
    return refuse(spec, std::to_string(settings.size()) + " " + what + "s; at most " +
                            std::to_string(kSettingsMax));
  }
  for (size_t i = 0; i < settings.size(); ++i) {
    const auto& [name, value] = settings[i];
    if (name.empty()) return refuse(spec, "a " + what + " has no name; write it as name=value");
    if (i > 0 && settings[i - 1].first == name) {
      return refuse(spec, what + " " + name + ": given twice; give it once");
    }
    if (value.size() > kSettingBytesMax) {
      return refuse(spec, what + " " + name + ": " + std::to_string(value.size()) +
                              " bytes; at most " + std::to_string(kSettingBytesMax));
    }
  }
  return {};
}

Result<void> checkHosts(const SpecRecord& spec) {
  size_t voters = spec.on.empty() ? spec.replicas : spec.on.size();
  if (voters > kVotersMax) {
    return refuse(spec, std::to_string(voters) + " voters; at most " + std::to_string(kVotersMax));
  }
  if (!spec.on.empty() && spec.replicas != 0 && spec.replicas != spec.on.size()) {
    return refuse(spec, std::to_string(spec.replicas) + " replicas on " +
                            std::to_string(spec.on.size()) + " hosts; give one of the two");
  }
  if (spec.learners.size() > kLearnersMax) {
    return refuse(spec, std::to_string(spec.learners.size()) + " learners; at most " +
                            std::to_string(kLearnersMax));
  }
  for (uint64_t twice : {repeated(spec.on), repeated(spec.learners)}) {
    if (twice != 0) return refuse(spec, "host " + std::to_string(twice) + " is named twice");
  }
  for (uint64_t learner : spec.learners) {
    if (std::binary_search(spec.on.begin(), spec.on.end(), learner)) {
      return refuse(
          spec, "host " + std::to_string(learner) + " is to be voter and learner; name it once");
    }
  }
  return {};
}

size_t bytesOf(const SpecRecord& spec) {
  size_t bytes = spec.name.size() + spec.plugin.size();
  for (const auto* list : {&spec.options, &spec.config}) {
    for (const auto& [name, value] : *list) bytes += name.size() + value.size();
  }
  return bytes;
}

std::string shown(const std::vector<uint64_t>& list) {
  if (list.empty()) return "none named";
  std::string out;
  for (uint64_t id : list) out += (out.empty() ? "" : ",") + std::to_string(id);
  return out;
}

std::string shown(const std::vector<OptionText>& list) {
  constexpr size_t kShownMax = 40;
  std::string out;
  for (const auto& [name, value] : list) {
    out += (out.empty() ? "" : " ") + name + "=" + value.substr(0, kShownMax);
  }
  return out.empty() ? "none" : out;
}

std::string shown(const std::string& word) {
  return word;
}
std::string shown(uint32_t number) {
  return std::to_string(number);
}

template <typename T>
void compare(const char* what, const T& standing, const T& asked, std::string& differences) {
  if (standing == asked) return;
  if (!differences.empty()) differences += "; ";
  differences += std::string(what) + " " + shown(standing) + ", asked for " + shown(asked);
}

}  // namespace

Result<GroupOptions> checkSpec(const SpecRecord& spec) {
  constexpr size_t kShownMax = 80;
  if (!goodName(spec.name)) {
    return Fault{ErrorCode::badRequest,
                 "group name \"" + spec.name.substr(0, kShownMax) +
                     "\": not a name; give 1 to 63 of a-z 0-9 . _ -, a letter or digit first",
                 ""};
  }
  if (spec.plugin.empty()) return refuse(spec, "no plugin; name one as NAME or NAME@VERSION");
  if (Result<void> good = checkHosts(spec); !good) return good.fault();
  if (Result<void> good = checkSettings(spec, spec.options, "option"); !good) return good.fault();
  if (Result<void> good = checkSettings(spec, spec.config, "setting"); !good) return good.fault();
  if (bytesOf(spec) > kSpecBytesMax) {
    return refuse(spec, "its settings take " + std::to_string(bytesOf(spec)) + " bytes; at most " +
                            std::to_string(kSpecBytesMax));
  }
  Result<GroupOptions> options = readOptions(spec.options);
  if (!options) return refuse(spec, options.fault().text);
  return options;
}

std::string difference(const SpecRecord& standing, const SpecRecord& asked) {
  std::string differences;
  compare("plugin", standing.plugin, asked.plugin, differences);
  compare("hosts", standing.on, asked.on, differences);
  if (asked.replicas != 0 && asked.on.empty()) {
    compare("replicas", standing.replicas, asked.replicas, differences);
  }
  compare("learners", standing.learners, asked.learners, differences);
  compare("options", standing.options, asked.options, differences);
  compare("config", standing.config, asked.config, differences);
  return differences;
}

}  // namespace flotilla::catalog
