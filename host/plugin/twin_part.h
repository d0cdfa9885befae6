// One twin's share of a workload, in a process of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flotilla/result.h"
#include "host/plugin/machine.h"

namespace flotilla::plugin {

// Which calls are made, and how memory is laid out for them.
struct TwinPart {
  std::string file;
  uint64_t seed = 1;
  uint64_t first = 0;  // calls [first, limit)
  uint64_t limit = 0;
  std::string loadFrom;  // a snapshot's file, and pending timers beside it; empty: an empty machine
  std::string saveTo;    // where the machine is saved to at the end; empty: nowhere
  bool shuffled = false;  // heap and stack are other than a fresh process has them; runs are longer
  Settings settings;
};

// The part as words of a command line, after the program's own name, and back.
std::vector<std::string> wordsOf(const TwinPart& part);
bool isTwinPart(const std::vector<std::string>& words);
TwinPart twinPartFrom(const std::vector<std::string>& words);

// What a twin says, one record a line: a letter, the call's number, and for an answer and a digest
// a number in hex; then text.
enum TwinWord : char {
  kTwinCall = 'c',     // is about to be carried out
  kTwinWake = 'w',     // before it: the tokens of timers that have come due and are to fire
  kTwinAnswer = 'a',   // its bytes' hash, and what it is
  kTwinDigest = 'd',   // of the state after it
  kTwinFault = 'f',    // of that call: the machine has stopped
  kTwinProblem = 'p',  // nothing to do with one call
  kTwinEnd = 'z',      // all was done
};

// Plays the part in this process, which must be there for nothing else, and says what happens on
// stdout. The exit code: 0, also where the machine failed.
int playTwinPart(const TwinPart& part);

}  // namespace flotilla::plugin
