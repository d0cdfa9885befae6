// A wall clock that a test sets, for the process it is loaded into before all others (LD_PRELOAD).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// Microseconds to go ahead by, in the file that $MOVED_CLOCK names; the test may write it at any
// time. Only CLOCK_REALTIME is moved: what counts intervals runs on, as it does where an operator
// sets a clock.
static volatile const int64_t* ahead;
static int (*clockOfSystem)(clockid_t, struct timespec*);

__attribute__((constructor)) static void findClock(void) {
  const char* name = getenv("MOVED_CLOCK");
  int file = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();  // nothing would be tested
  void* page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (page == MAP_FAILED) abort();
  *(void**)&clockOfSystem = dlsym(RTLD_NEXT, "clock_gettime");
  ahead = page;
}

int clock_gettime(clockid_t clock, struct timespec* to) {
  if (clockOfSystem == NULL) *(void**)&clockOfSystem = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = clockOfSystem(clock, to);
  if (failed || clock != CLOCK_REALTIME || ahead == NULL) return failed;
  int64_t us = to->tv_sec * INT64_C(1000000) + to->tv_nsec / 1000 + *ahead;
  to->tv_sec = us / 1000000;
  to->tv_nsec = us % 1000000 * 1000;
  return 0;
}
