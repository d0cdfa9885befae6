// Seeds run side by side.
#include "tests/sim/workers.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace flotilla::sim {
namespace {

constexpr unsigned kSeedSecondsMax = 120;  // of real time; then the seed hangs

// What a child says of a seed, through its pipe: this, then the violation's text.
struct Line {
  uint64_t seed = 0;
  uint64_t traceHash = 0;
  Report report;
  uint64_t textBytes = 0;
  bool ended = false;  // false: it only begins
};

void sayAll(int to, const void* bytes, size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    ssize_t wrote = write(to, at, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) std::_Exit(3);
    at += wrote;
    size -= static_cast<size_t>(wrote);
  }
}

bool hearAll(int from, void* bytes, size_t size) {
  char* at = static_cast<char*>(bytes);
  while (size > 0) {
    ssize_t got = read(from, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

[[noreturn]] void work(const std::vector<uint64_t>& seeds, int to) {
  for (uint64_t seed : seeds) {
    Line line;
    line.seed = seed;
    sayAll(to, &line, sizeof line);
    alarm(kSeedSecondsMax);
    SeedEnd end = runSeed(optionsOf(seed), false);
    alarm(0);
    line.ended = true;
    line.traceHash = end.traceHash;
    line.report = end.report;
    std::string text = end.violation.value_or("");
    line.textBytes = text.size();
    sayAll(to, &line, sizeof line);
    sayAll(to, text.data(), text.size());
  }
  std::_Exit(0);
}

struct Child {
  pid_t pid = 0;
  int from = -1;
  std::vector<uint64_t> seeds;  // not yet begun, or under way
};

void begin(Child& child) {
  int ends[2];
  if (pipe(ends) != 0) {
    std::perror("flotilla-sim: pipe");
    std::exit(2);
  }
  std::fflush(nullptr);
  child.pid = fork();
  if (child.pid < 0) {
    std::perror("flotilla-sim: fork");
    std::exit(2);
  }
  if (child.pid == 0) {
    close(ends[0]);
    work(child.seeds, ends[1]);
  }
  close(ends[1]);
  child.from = ends[0];
}

// The child is gone: well, or at a seed that killed it. False: enough was seen.
bool buried(Child& child, const SeedEnded& ended) {
  close(child.from);
  int status = 0;
  waitpid(child.pid, &status, 0);
  child.pid = 0;
  if (child.seeds.empty()) return true;
  SeedEnd end;
  end.report[Count::seeds] = 1;
  end.report[Count::violations] = 1;
  end.violation = WIFSIGNALED(status)
                      ? "the program died of signal " + std::to_string(WTERMSIG(status)) +
                            "; what it said is above"
                      : "the program ended with " + std::to_string(WEXITSTATUS(status));
  if (!ended(child.seeds.front(), end)) return false;
  child.seeds.erase(child.seeds.begin());
  if (!child.seeds.empty()) begin(child);
  return true;
}

// Hears one line of a child. False: enough was seen.
bool hear(Child& child, const SeedEnded& ended) {
  Line line;
  if (!hearAll(child.from, &line, sizeof line)) return buried(child, ended);
  if (!line.ended) return true;
  std::string text(line.textBytes, '\0');
  if (!hearAll(child.from, text.data(), text.size())) return buried(child, ended);
  SeedEnd end{line.report, line.traceHash, std::nullopt};
  if (!text.empty()) end.violation = std::move(text);
  child.seeds.erase(child.seeds.begin());
  return ended(line.seed, end);
}

void stopAll(std::vector<Child>& children) {
  for (Child& child : children) {
    if (child.pid == 0) continue;
    kill(child.pid, SIGKILL);
    close(child.from);
    waitpid(child.pid, nullptr, 0);
  }
}

}  // namespace

void runSeeds(const std::vector<uint64_t>& seeds, uint32_t jobs, const SeedEnded& ended) {
  std::vector<Child> children(std::max<size_t>(1, std::min<size_t>(jobs, seeds.size())));
  for (size_t i = 0; i < seeds.size(); ++i) children[i % children.size()].seeds.push_back(seeds[i]);
  for (Child& child : children) {
    if (!child.seeds.empty()) begin(child);
  }
  while (true) {
    std::vector<pollfd> wait;
    std::vector<Child*> whose;
    for (Child& child : children) {
      if (child.pid == 0) continue;
      wait.push_back({child.from, POLLIN, 0});
      whose.push_back(&child);
    }
    if (wait.empty()) return;
    if (poll(wait.data(), wait.size(), -1) < 0) continue;
    for (size_t i = 0; i < wait.size(); ++i) {
      if (wait[i].revents == 0) continue;
      if (!hear(*whose[i], ended)) return stopAll(children);
    }
  }
}

}  // namespace flotilla::sim
