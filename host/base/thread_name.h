// What a thread is called where the system shows threads.
#pragma once

#include <pthread.h>

namespace flotilla::base {

// Of the calling thread; at most 15 characters. For people: `top -H`, perf, gdb.
inline void nameThread(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
}

}  // namespace flotilla::base
