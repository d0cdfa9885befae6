// A disk that fails as a test says, for the process it is loaded into before all others
// (LD_PRELOAD).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// In the file that $FAILING_DISK names; the test may write it at any time.
enum { kWrites = 1, kSyncs = 2, kReads = 4 };
struct orders {
  int32_t error;     // what such calls fail with; 0: none does
  uint32_t calls;    // which
  uint32_t after;    // so many of them are let through first
  uint32_t failed;   // how many have failed: the test reads it
  char below[112];   // on paths with this in them
  char ending[128];  // and that end so
};
static volatile struct orders* orders;

__attribute__((constructor)) static void findOrders(void) {
  const char* name = getenv("FAILING_DISK");
  int file = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
  if (file < 0) abort();  // nothing would be tested
  void* page = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (page == MAP_FAILED) abort();
  orders = page;
}

static int endsWith(const char* text, const char* ending) {
  size_t length = strlen(text);
  size_t wanted = strlen(ending);
  return length >= wanted && strcmp(text + length - wanted, ending) == 0;
}

// Whether that call is to fail; errno says how.
static int fails(int file, uint32_t call) {
  if (orders == NULL || orders->error == 0 || (orders->calls & call) == 0) return 0;
  char link[64];
  char path[4096];
  int before = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  errno = before;
  if (size < 0) return 0;
  path[size] = '\0';
  if (strstr(path, (const char*)orders->below) == NULL) return 0;
  if (!endsWith(path, (const char*)orders->ending)) return 0;
  uint32_t left = __atomic_load_n(&orders->after, __ATOMIC_RELAXED);
  while (left != 0) {
    if (__atomic_compare_exchange_n(&orders->after, &left, left - 1, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
      return 0;
    }
  }
  __atomic_fetch_add(&orders->failed, 1, __ATOMIC_RELAXED);
  errno = orders->error;
  return 1;
}

// What the system's own call of that name is.
#define SYSTEM(name)                      \
  static __typeof__(&name) system_##name; \
  if (system_##name == NULL) *(void**)&system_##name = dlsym(RTLD_NEXT, #name)

// Half of what was to be written is there, as where a disk breaks in the middle.
ssize_t write(int file, const void* bytes, size_t size) {
  SYSTEM(write);
  if (!fails(file, kWrites)) return system_write(file, bytes, size);
  int error = errno;
  if (system_write(file, bytes, size / 2) < 0) error = errno;
  errno = error;
  return -1;
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
  SYSTEM(pwrite);
  return fails(file, kWrites) ? -1 : system_pwrite(file, bytes, size, at);
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t at) {
  SYSTEM(pwrite64);
  return fails(file, kWrites) ? -1 : system_pwrite64(file, bytes, size, at);
}

int fsync(int file) {
  SYSTEM(fsync);
  return fails(file, kSyncs) ? -1 : system_fsync(file);
}

int fdatasync(int file) {
  SYSTEM(fdatasync);
  return fails(file, kSyncs) ? -1 : system_fdatasync(file);
}

ssize_t read(int file, void* bytes, size_t size) {
  SYSTEM(read);
  return fails(file, kReads) ? -1 : system_read(file, bytes, size);
}

ssize_t pread(int file, void* bytes, size_t size, off_t at) {
  SYSTEM(pread);
  return fails(file, kReads) ? -1 : system_pread(file, bytes, size, at);
}

ssize_t pread64(int file, void* bytes, size_t size, off64_t at) {
  SYSTEM(pread64);
  return fails(file, kReads) ? -1 : system_pread64(file, bytes, size, at);
}
