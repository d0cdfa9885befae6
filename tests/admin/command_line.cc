// Runs the real `flotilla`, as a shell would.
#include "tests/admin/command_line.h"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace flotilla::test {
namespace {

struct Scratch {
  std::string path;

  Scratch() {
    std::string wanted = std::filesystem::temp_directory_path() / "flotilla-admin-XXXXXX";
    if (mkdtemp(wanted.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path = wanted;
  }
  ~Scratch() {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
};

struct Pipe {
  std::array<int, 2> ends{};
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  }
};

[[noreturn]] void become(const std::vector<std::string>& words, int input, int out, int err) {
  dup2(input, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  if (chdir(scratch().c_str()) != 0) _exit(126);
  setenv("HOME", scratch().c_str(), 1);
  unsetenv("FLOTILLA_CONNECT");
  unsetenv("FLOTILLA_TOKEN");
  std::string program = flotillaProgram();
  std::vector<char*> arguments = {program.data()};
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execv(program.c_str(), arguments.data());
  _exit(127);
}

}  // namespace

const std::string& scratch() {
  static const Scratch only;
  return only.path;
}

std::string flotillaProgram() {
  const char* build = std::getenv("FLOTILLA_BUILD");
  if (build == nullptr) throw std::runtime_error("FLOTILLA_BUILD is not set; run by ctest");
  return std::string(build) + "/bin/flotilla";
}

Ran runFlotilla(kj::AsyncIoContext& io, const std::vector<std::string>& words,
                const std::string& input) {
  std::string inputFile = scratch() + "/input";
  std::ofstream(inputFile, std::ios::binary | std::ios::trunc) << input;
  int in = open(inputFile.c_str(), O_RDONLY | O_CLOEXEC);
  Pipe out;
  Pipe err;
  pid_t child = fork();
  if (child == 0) become(words, in, out.ends[1], err.ends[1]);
  close(in);
  close(out.ends[1]);
  close(err.ends[1]);
  auto own = kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP;
  auto outStream = io.lowLevelProvider->wrapInputFd(out.ends[0], own);
  auto errStream = io.lowLevelProvider->wrapInputFd(err.ends[0], own);
  auto errText = errStream->readAllText().eagerlyEvaluate(nullptr);
  Ran ran;
  ran.out = outStream->readAllText().wait(io.waitScope).cStr();
  ran.err = errText.wait(io.waitScope).cStr();
  int status = 0;
  waitpid(child, &status, 0);
  ran.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

Ran runFlotilla(const std::vector<std::string>& words, const std::string& input) {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  return runFlotilla(io, words, input);
}

}  // namespace flotilla::test
