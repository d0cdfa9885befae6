// What a thread is called where the system shows threads, and whether it gives way to others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace flotilla::base {

// Of the calling thread; at most 15 characters. For people: `top -H`, perf, gdb.
inline void nameThread(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
}

namespace detail {
inline thread_local bool givesWay = false;
}

// The calling thread leaves the cores to those that others wait for; a tenth of what it would have
// is left to it. Of this thread alone, on Linux; for good.
inline void giveWay() {
  constexpr int kNicer = 10;
  constexpr int kNiceMax = 19;
  auto self = static_cast<id_t>(::gettid());
  int nice = std::min(::getpriority(PRIO_PROCESS, self) + kNicer, kNiceMax);
  detail::givesWay = ::setpriority(PRIO_PROCESS, self, nice) == 0;
}

// What the calling thread's work is charged by: the monotonic clock, or, where it gives way, the
// time that it had a core. Differences only.
inline int64_t workedUs() {
  timespec time{};
  ::clock_gettime(detail::givesWay ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

}  // namespace flotilla::base
