// Other programs of Flotilla, and how they are run.
#include "admin/program.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <unistd.h>

namespace flotilla::admin {
namespace {

constexpr int kExecFailed = 127;
constexpr size_t kOutputBytesMax = 64 << 10;

Fault failed(const std::string& what) {
  return {ErrorCode::badRequest, what + ": " + std::strerror(errno), ""};
}

std::vector<char*> argumentsOf(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

Result<int> waitFor(pid_t child, const std::string& program) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return failed(program);
  }
  if (WIFSIGNALED(status)) {
    return Fault{ErrorCode::badRequest,
                 program + ": killed by signal " + std::to_string(WTERMSIG(status)), ""};
  }
  return WEXITSTATUS(status);
}

}  // namespace

Result<std::string> programBeside(const std::string& name) {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::filesystem::path found = self.parent_path() / name;
  if (!error && access(found.c_str(), X_OK) == 0) return found.string();
  return Fault{ErrorCode::badRequest,
               found.string() + ": not there; build it, or install it beside flotilla", ""};
}

Result<int> runProgram(const std::vector<std::string>& words) {
  std::vector<char*> arguments = argumentsOf(words);
  pid_t child = fork();
  if (child < 0) return failed(words[0]);
  if (child == 0) {
    execv(arguments[0], arguments.data());
    _exit(kExecFailed);
  }
  return waitFor(child, words[0]);
}

Result<int> runQuietly(const std::vector<std::string>& words, std::string& output) {
  std::vector<char*> arguments = argumentsOf(words);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return failed(words[0]);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(kExecFailed);
  }
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return failed(words[0]);
  }
  std::array<char, 4096> buffer{};
  for (;;) {
    ssize_t count = read(ends[0], buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    if (output.size() < kOutputBytesMax) output.append(buffer.data(), static_cast<size_t>(count));
  }
  close(ends[0]);
  return waitFor(child, words[0]);
}

Result<pid_t> startDetached(const std::vector<std::string>& words, const std::string& logFile) {
  std::vector<char*> arguments = argumentsOf(words);
  int log = open(logFile.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return failed(logFile);
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  // Closed by the exec itself: until then the child still looks like us.
  int begun[2] = {-1, -1};
  if (pipe2(begun, O_CLOEXEC) != 0) {
    close(log);
    close(nothing);
    return failed(words[0]);
  }
  pid_t child = fork();
  if (child == 0) {
    setsid();  // a terminal that closes, or ^C in it, is not for it
    dup2(nothing, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    constexpr int kBegun = STDERR_FILENO + 1;
    if (begun[1] != kBegun) dup3(begun[1], kBegun, O_CLOEXEC);
    // Whatever else we were given open is ours, and a reader of it would wait for the host's end.
    close_range(kBegun + 1, ~0U, 0);
    execv(arguments[0], arguments.data());
    _exit(kExecFailed);
  }
  close(log);
  close(nothing);
  close(begun[1]);
  char none = 0;
  while (child > 0 && read(begun[0], &none, 1) < 0 && errno == EINTR) {
  }
  close(begun[0]);
  if (child < 0) return failed(words[0]);
  return child;
}

bool runs(pid_t pid, const std::string& program, const std::string& argument) {
  if (pid <= 0) return false;
  // A child of ours that has ended is a zombie until somebody asks.
  waitpid(pid, nullptr, WNOHANG);
  std::string place = "/proc/" + std::to_string(pid);
  std::ifstream file(place + "/cmdline", std::ios::binary);
  std::string words((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (words.empty()) return false;  // gone, or a zombie
  std::string ours = argument + '\0';
  size_t found = words.find('\0' + ours);
  std::string first = words.substr(0, words.find('\0'));
  bool same = std::filesystem::path(first).filename() == std::filesystem::path(program).filename();
  return same && found != std::string::npos;
}

}  // namespace flotilla::admin
