// Starts, reads, awaits and, if need be, kills a child.
#include "host/plugin/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace flotilla::plugin {
namespace {

using Clock = std::chrono::steady_clock;

int leftMs(Clock::time_point deadline) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

// Takes what there is; false at the end.
bool takeFrom(int fd, std::string& to) {
  std::array<char, 16 * 1024> piece;
  ssize_t got = ::read(fd, piece.data(), piece.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  size_t room = kChildBytesMax - to.size();
  to.append(piece.data(), std::min(room, static_cast<size_t>(got)));
  return true;
}

// Until both streams have ended; false where time was up before.
bool readStreams(std::array<pollfd, 2>& streams, ChildEnd& end, Clock::time_point deadline) {
  std::array<std::string*, 2> texts{&end.out, &end.err};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    int ready = ::poll(streams.data(), streams.size(), leftMs(deadline));
    if (ready == 0) return false;
    for (size_t i = 0; i < streams.size() && ready > 0; ++i) {
      if (streams[i].fd < 0 || streams[i].revents == 0) continue;
      if (takeFrom(streams[i].fd, *texts[i])) continue;
      ::close(streams[i].fd);
      streams[i].fd = -1;
    }
  }
  return true;
}

// Whether the child has ended by then. It may have closed its streams long before.
bool endsBy(pid_t child, Clock::time_point deadline) {
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));  // the header lacks extern "C"
  if (fd < 0) return true;                                         // then waitpid alone must do
  pollfd ended{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, leftMs(deadline));
  } while (ready < 0 && errno == EINTR);
  ::close(fd);
  return ready != 0;
}

}  // namespace

ChildEnd awaitChild(pid_t child, int outFd, int errFd, int timeoutMs) {
  auto deadline = Clock::now() + std::chrono::milliseconds(timeoutMs);
  ChildEnd end;
  std::array<pollfd, 2> streams{pollfd{outFd, POLLIN, 0}, pollfd{errFd, POLLIN, 0}};
  end.timedOut = !readStreams(streams, end, deadline) || !endsBy(child, deadline);
  if (end.timedOut) {
    ::kill(-child, SIGKILL);
    ::kill(child, SIGKILL);
  }
  for (const pollfd& stream : streams) {
    if (stream.fd >= 0) ::close(stream.fd);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) end.exitCode = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

Result<ChildEnd> runChild(const std::vector<std::string>& command, int timeoutMs) {
  auto ioFault = [&](int number) {
    return Fault{ErrorCode::io, command[0] + ": cannot be started: " + std::strerror(number), {}};
  };
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0) return ioFault(errno);
  if (::pipe2(err.data(), O_CLOEXEC) != 0) {
    int number = errno;
    ::close(out[0]);
    ::close(out[1]);
    return ioFault(number);
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, out[1], 1);
  posix_spawn_file_actions_adddup2(&files, err[1], 2);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);  // a loop's thread has signals blocked
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  int number = ::posix_spawn(&child, words[0], &files, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  ::close(out[1]);
  ::close(err[1]);
  if (number != 0) {
    ::close(out[0]);
    ::close(err[0]);
    return ioFault(number);
  }
  return awaitChild(child, out[0], err[0], timeoutMs);
}

std::string signalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

}  // namespace flotilla::plugin
