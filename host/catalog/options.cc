// How options are read: one table of numbers, one of switches.
#include "host/catalog/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace flotilla::catalog {
namespace {

// One option: its name, what it may be, and where it goes.
struct Number {
  std::string_view name;
  uint64_t min = 0;
  uint64_t max = 0;
  uint32_t GroupOptions::*small = nullptr;  // one of the two
  uint64_t GroupOptions::*large = nullptr;
  uint32_t version = 0;  // the clusterVersion whose hosts know it; 0: every host does
  // May change while the group is there: each host judges by it alone, so that it does not matter
  // when it hears of a change.
  bool settable = false;
};
struct Switch {
  std::string_view name;
  bool GroupOptions::*member = nullptr;
  std::string_view no;
  std::string_view yes;
};

constexpr uint64_t kGiB = uint64_t{1} << 30;

constexpr std::array kNumbers = {
    Number{"electionTimeoutMs", 10, 600'000, &GroupOptions::electionTimeoutMs, nullptr},
    Number{"heartbeatMs", 1, 60'000, &GroupOptions::heartbeatMs, nullptr},
    Number{"appendEntriesMax", 1, 65'536, &GroupOptions::appendEntriesMax, nullptr},
    Number{"appendBytesMax", 4'096, 16 << 20, nullptr, &GroupOptions::appendBytesMax},
    Number{"inflightMax", 1, 4'096, &GroupOptions::inflightMax, nullptr},
    Number{"uncommittedBytesMax", 65'536, 4 * kGiB, nullptr, &GroupOptions::uncommittedBytesMax},
    Number{"snapshotEveryBytes", 4'096, 1024 * kGiB, nullptr, &GroupOptions::snapshotEveryBytes},
    Number{"keepEntries", 0, 1'000'000'000, nullptr, &GroupOptions::keepEntries},
    Number{"applyTimeoutMs", 10, 3'600'000, &GroupOptions::applyTimeoutMs, nullptr},
    Number{"sleepAfterMs", 0, 86'400'000, &GroupOptions::sleepAfterMs, nullptr},
    Number{"digestEveryEntries", 0, 1'000'000'000, nullptr, &GroupOptions::digestEveryEntries},
    Number{"digestEveryMs", 0, 86'400'000, &GroupOptions::digestEveryMs, nullptr},
    Number{"keepEvents", 1, 262'144, nullptr, &GroupOptions::keepEvents, 3},
    Number{"keepEventBytes", 4'096, 64 << 20, nullptr, &GroupOptions::keepEventBytes, 3},
    Number{"memoryBytesMax", 0, 1024 * kGiB, nullptr, &GroupOptions::memoryBytesMax, 3, true},
    Number{"applyTimePercentMax", 0, 100, &GroupOptions::applyTimePercentMax, nullptr, 3, true},
    Number{"callsPerSecondMax", 0, 1'000'000'000, &GroupOptions::callsPerSecondMax, nullptr, 4,
           true},
};

constexpr std::array kSwitches = {
    Switch{"preVote", &GroupOptions::preVote, "false", "true"},
    Switch{"checkQuorum", &GroupOptions::checkQuorum, "false", "true"},
    Switch{"leaseReads", &GroupOptions::leaseReads, "false", "true"},
    Switch{"durability", &GroupOptions::asyncDurability, "sync", "async"},
};

constexpr size_t kVolumeBytesMax = 63;

Fault refuse(std::string text) {
  return Fault{ErrorCode::badRequest, std::move(text), ""};
}

std::string range(const Number& number) {
  return std::to_string(number.min) + " to " + std::to_string(number.max);
}

bool lowerOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool goodWord(std::string_view word, size_t max) {
  if (word.empty() || word.size() > max || !lowerOrDigit(word.front())) return false;
  return std::all_of(word.begin(), word.end(),
                     [](char c) { return lowerOrDigit(c) || c == '.' || c == '_' || c == '-'; });
}

Result<void> setNumber(const Number& number, std::string_view text, GroupOptions& options) {
  uint64_t value = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = error == std::errc() && stop == text.data() + text.size();
  if (!whole || value < number.min || value > number.max) {
    return refuse("option " + std::string(number.name) + ": found \"" + std::string(text) +
                  "\"; give a whole number from " + range(number));
  }
  if (number.small != nullptr) {
    options.*number.small = static_cast<uint32_t>(value);
  } else {
    options.*number.large = value;
  }
  return {};
}

Result<void> setSwitch(const Switch& it, std::string_view text, GroupOptions& options) {
  if (text != it.no && text != it.yes) {
    return refuse("option " + std::string(it.name) + ": found \"" + std::string(text) +
                  "\"; give " + std::string(it.no) + " or " + std::string(it.yes));
  }
  options.*it.member = text == it.yes;
  return {};
}

Result<void> setOne(std::string_view name, std::string_view text, GroupOptions& options) {
  for (const Number& number : kNumbers) {
    if (number.name == name) return setNumber(number, text, options);
  }
  for (const Switch& it : kSwitches) {
    if (it.name == name) return setSwitch(it, text, options);
  }
  if (name == "volume") {
    if (!goodWord(text, kVolumeBytesMax)) {
      return refuse("option volume: found \"" + std::string(text) +
                    "\"; give the name of a volume of [storage], [a-z0-9][a-z0-9._-]*");
    }
    options.volume = text;
    return {};
  }
  std::string known;
  for (const Number& number : kNumbers) known += " " + std::string(number.name);
  for (const Switch& it : kSwitches) known += " " + std::string(it.name);
  return refuse("option \"" + std::string(name) + "\": not known; there are" + known + " volume");
}

}  // namespace

Result<GroupOptions> readOptions(const std::vector<OptionText>& texts) {
  GroupOptions options;
  std::set<std::string_view> seen;
  for (const auto& [name, text] : texts) {
    if (!seen.insert(name).second) return refuse("option " + name + ": given twice; give it once");
    if (Result<void> set = setOne(name, text, options); !set) return set.fault();
  }
  if (options.heartbeatMs * uint64_t{2} > options.electionTimeoutMs) {
    return refuse("option heartbeatMs: found " + std::to_string(options.heartbeatMs) +
                  " with electionTimeoutMs " + std::to_string(options.electionTimeoutMs) +
                  "; an election timeout must be at least twice the heartbeat");
  }
  if (options.leaseReads && !options.checkQuorum) {
    return refuse(
        "option leaseReads: found true with checkQuorum false; a lease needs checkQuorum");
  }
  return options;
}

Result<void> checkSettable(std::string_view name) {
  std::string settable;
  for (const Number& number : kNumbers) {
    if (!number.settable) continue;
    if (number.name == name) return {};
    settable += " " + std::string(number.name);
  }
  return refuse("option \"" + std::string(name) +
                "\": cannot be changed while the group is there; these can:" + settable);
}

uint32_t versionFor(const std::vector<OptionText>& options) {
  uint32_t version = 0;
  for (const Number& number : kNumbers) {
    bool asked = std::any_of(options.begin(), options.end(),
                             [&](const OptionText& it) { return it.first == number.name; });
    if (asked) version = std::max(version, number.version);
  }
  return version;
}

std::string describeOptions() {
  std::string lines;
  for (const Number& number : kNumbers) {
    lines += std::string(number.name) + "=" + range(number) + "\n";
  }
  for (const Switch& it : kSwitches) {
    lines += std::string(it.name) + "=" + std::string(it.no) + "|" + std::string(it.yes) + "\n";
  }
  return lines + "volume=name of a volume\n";
}

bool goodName(std::string_view name) {
  constexpr size_t kNameBytesMax = 63;
  return goodWord(name, kNameBytesMax);
}

}  // namespace flotilla::catalog
