// Whether a plugin's code sets timers, known when it is loaded.
#pragma once

#include <cstdint>

#include "flotilla/abi.h"

namespace flotilla {

class Entry;

// A machine that timers can wake.
template <typename Machine>
concept Wakes = requires(Machine& machine, const Entry& entry, uint64_t token) {
  machine.wake(entry, token);
};

// True once something in this shared object calls Entry::wakeAt, whether or not that is ever run: a
// machine without `wake` is refused for it when it is linked, and not at the first timer.
inline bool setsTimers = false;

template <typename Token>
struct TimersNoted {
  static const bool noted;
};
template <typename Token>
const bool TimersNoted<Token>::noted = (setsTimers = true);

// To be instantiated where a timer is set.
template <typename Token>
void noteTimers() {
  static_cast<void>(&TimersNoted<Token>::noted);
}

}  // namespace flotilla
