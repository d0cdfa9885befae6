// Runs the twins and holds their words against each other.
#include "host/plugin/twins.h"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <stdlib.h>

#include "host/plugin/child.h"
#include "host/plugin/twin_part.h"

namespace flotilla::plugin {
namespace {

constexpr uint64_t kParts = 3;

// A folder for snapshots, gone with it.
//
// Thread: one. Errors: the path is empty where it could not be made.
class Folder {
public:
  Folder() {
    std::error_code failed;
    std::string name = (std::filesystem::temp_directory_path(failed) / "flotilla-twins-XXXXXX");
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }

private:
  std::string path_;
};

// What one twin said of one call.
struct Heard {
  std::string call;
  std::string wakes;                  // timers that fired before it
  std::optional<std::string> answer;  // hash and text
  std::optional<std::string> digest;
};

// All that one twin said, perhaps from several processes.
struct Story {
  std::map<uint64_t, Heard> calls;
  std::optional<Fault> fault;
};

std::string atCall(uint64_t number, const std::string& call) {
  return "call " + std::to_string(number + 1) + ", " + call + ": ";
}

Fault refused(const TwinSetup& setup, const std::string& text) {
  return {ErrorCode::badRequest, "plugin " + setup.file + ": " + text, {}};
}

// Takes a process's words in; the story's fault is why it did not come to its end.
void takeIn(const TwinSetup& setup, const ChildEnd& end, Story& story) {
  std::istringstream lines(end.out);
  uint64_t last = 0;
  for (std::string line; std::getline(lines, line);) {
    char* after = nullptr;
    uint64_t number = std::strtoull(line.c_str() + 2, &after, 10);
    std::string text = *after == 0 ? "" : after + 1;
    if (line[0] != kTwinEnd) last = number;
    switch (line[0]) {
      case kTwinCall:
        story.calls[number].call = text;
        break;
      case kTwinWake:
        story.calls[number].wakes = story.calls[number].call = text;
        break;
      case kTwinAnswer:
        story.calls[number].answer = text;
        break;
      case kTwinDigest:
        story.calls[number].digest = text;
        break;
      case kTwinFault:
        story.fault = refused(setup, atCall(number, story.calls[number].call) + text +
                                         "; what is the caller's doing is answered with "
                                         "flotilla::Error, all else stops the replica");
        return;
      case kTwinProblem:
        story.fault = Fault{ErrorCode::badRequest, text, {}};
        if (!text.starts_with("plugin ")) story.fault = refused(setup, text);
        return;
      case kTwinEnd:
        return;
      default:
        break;
    }
  }
  std::string how = "ended its process";
  if (end.signal != 0) how = "crashed (" + signalName(end.signal) + ")";
  if (end.timedOut) how = "did not end within " + std::to_string(setup.timeoutMs / 1000) + " s";
  // A run is announced whole: the first call of it without an answer is the one.
  while (last > 0 && !story.calls[last].answer && story.calls.count(last - 1) > 0 &&
         !story.calls[last - 1].answer) {
    --last;
  }
  story.fault = refused(setup, atCall(last, story.calls[last].call) + how +
                                   "; a command that does so faults every replica");
}

Story told(const TwinSetup& setup, const std::vector<TwinPart>& parts) {
  Story story;
  for (const TwinPart& part : parts) {
    std::vector<std::string> words = wordsOf(part);
    words.insert(words.begin(), setup.program);
    Result<ChildEnd> end = runChild(words, setup.timeoutMs);
    if (!end) {
      story.fault = end.fault();
    } else {
      takeIn(setup, *end, story);
    }
    if (story.fault) break;
  }
  return story;
}

std::string textOf(const std::string& answer) {
  size_t space = answer.find(' ');
  return space == std::string::npos ? answer : answer.substr(space + 1);
}

// Empty where both have said the same of the call; else what differs.
std::string difference(const Heard& one, const Heard& other) {
  if (one.wakes != other.wakes) {
    auto said = [](const std::string& wakes) { return wakes.empty() ? "none" : wakes; };
    return "before it one process fires " + said(one.wakes) + ", its twin " + said(other.wakes);
  }
  if (one.answer && other.answer && *one.answer != *other.answer) {
    std::string left = textOf(*one.answer);
    std::string right = textOf(*other.answer);
    if (left == right) return "both answer " + left + ", in other bytes";
    return "one process answers " + left + ", its twin " + right;
  }
  if (one.digest && other.digest && *one.digest != *other.digest) {
    return "the answers are equal, the states after it are not: their digests are " + *one.digest +
           " and " + *other.digest;
  }
  return {};
}

// What there is to look for, by where the twin began.
std::string advice(const TwinPart& part) {
  if (part.loadFrom.empty()) {
    return "; a machine uses nothing but its arguments and its Tables: no clock, random numbers, "
           "addresses, uninitialized members or globals; entry.timeUs() and entry.seed() are the "
           "same everywhere";
  }
  return ", which was restored from a snapshot before call " + std::to_string(part.first + 1) +
         "; does load give back all that later calls look at, also the order of iteration, and is "
         "nothing kept in globals?";
}

}  // namespace

Result<TwinFacts> compareTwins(const TwinSetup& setup) {
  Folder folder;
  if (folder.path().empty()) return refused(setup, "no folder for its snapshots below /tmp");
  TwinPart whole;
  whole.file = setup.file;
  whole.seed = setup.seed;
  whole.limit = setup.calls;
  whole.settings = setup.settings;
  std::vector<TwinPart> parts;
  for (uint64_t i = 0; i < kParts; ++i) {
    TwinPart part = whole;
    part.shuffled = true;
    part.first = setup.calls * i / kParts;
    part.limit = setup.calls * (i + 1) / kParts;
    if (i > 0) part.loadFrom = parts.back().saveTo;
    if (i + 1 < kParts) part.saveTo = folder.path() + "/snapshot-" + std::to_string(i);
    parts.push_back(part);
  }
  Story one = told(setup, {whole});
  if (one.fault) return *one.fault;
  Story other = told(setup, parts);
  TwinFacts facts{setup.calls, kParts - 1, false};
  for (const auto& [number, heard] : other.calls) {
    std::string found = difference(one.calls[number], heard);
    if (heard.digest) facts.digests = true;
    if (found.empty()) continue;
    const TwinPart* part = &parts[0];
    for (const TwinPart& candidate : parts) {
      if (candidate.first <= number) part = &candidate;
    }
    return refused(setup, atCall(number, one.calls[number].call) + found + advice(*part));
  }
  if (other.fault) return *other.fault;
  return facts;
}

}  // namespace flotilla::plugin
