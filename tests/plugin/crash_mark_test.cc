// Crashes in child processes, and what the next start makes of them.
#include "host/plugin/crash_mark.h"

#include <csignal>
#include <fstream>
#include <functional>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "bad_behaviour.capnp.h"
#include "host/plugin/library.h"
#include "host/plugin/machine.h"
#include "tests/plugin/built.h"
#include "tests/plugin/kv_calls.h"

using namespace flotilla;
using plugin::CrashedAt;
using plugin::CrashMarks;

namespace {

std::unique_ptr<CrashMarks> opened(const std::string& file, bool handleSignals = false) {
  auto marks = CrashMarks::open(file, handleSignals);
  if (!marks) FAIL(marks.fault().text);
  return std::move(marks).value();
}

// Runs `life` in a process of its own and gives the signal that ended it.
int livesAndDies(const std::function<void()>& life) {
  pid_t child = fork();
  if (child == 0) {
    rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (int number : {SIGSEGV, SIGBUS, SIGABRT})
      signal(number, SIG_DFL);  // doctest's are not ours
    life();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void useBadMachine(CrashMarks* marks, uint16_t method, bool query) {
  auto library = plugin::Library::open(test::badFile("bad_behaviour"));
  auto machine = plugin::makeMachine(library->descriptor(), {}, marks, {7, 3});
  Bytes fine = test::flatParams<BadBehaviour::PutParams>([](auto in) { in.setKey("k"); });
  Bytes none = test::flatParams<BadBehaviour::CrashParams>([](auto) {});
  std::vector<group::MachineCommand> run{test::commandAt(40, 0, 0, fine),
                                         test::commandAt(41, 2, method, none)};
  for (auto& one : run) one.interfaceId = capnp::typeId<BadBehaviour>();
  test::Heard heard;
  if (query) {
    (void)(*machine)->query(run[1], heard);
  } else {
    (*machine)->apply(run.data(), run.size(), heard);
  }
}

}  // namespace

TEST_CASE("plugin/crash_mark: a null dereference in a plugin is remembered at its command") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  int signal = livesAndDies([&] {
    auto marks = opened(file, true);
    std::thread([&] { useBadMachine(marks.get(), 4, false); }).join();
  });
  CHECK(signal == SIGSEGV);
  std::vector<CrashedAt> expected{{.replica = {7, 3}, .at = {41, 2}, .signal = SIGSEGV}};
  CHECK(opened(file)->crashed() == expected);
  // And stays so through good and bad stops, until it is forgotten.
  opened(file)->closeCleanly();
  auto marks = opened(file);
  CHECK(marks->crashed() == expected);
  marks->forget({7, 3});
  marks.reset();
  CHECK(opened(file)->crashed().empty());
}

TEST_CASE("plugin/crash_mark: a query that crashes is remembered as one") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  int signal = livesAndDies([&] {
    auto marks = opened(file, true);
    useBadMachine(marks.get(), 5, true);
  });
  CHECK(signal == SIGSEGV);
  auto crashed = opened(file)->crashed();
  REQUIRE(crashed.size() == 1);
  CHECK(crashed[0].query);
  CHECK(crashed[0].at.index == 41);
}

TEST_CASE("plugin/crash_mark: a stack that runs over is flagged too") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  int signal = livesAndDies([&] {
    auto marks = opened(file, true);
    CrashMarks::Scope scope(marks.get(), {1, 2}, false, 5);
    std::function<int(int)> deeper = [&](int depth) {
      volatile char page[8192];
      page[0] = static_cast<char>(depth);
      return deeper(depth + 1) + page[0];
    };
    deeper(0);
  });
  CHECK(signal != 0);
  auto crashed = opened(file)->crashed();
  REQUIRE(crashed.size() == 1);
  CHECK(crashed[0].replica == group::ReplicaKey{1, 2});
}

TEST_CASE("plugin/crash_mark: a crash elsewhere is nobody's fault") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  int signal = livesAndDies([&] {
    auto marks = opened(file, true);
    { CrashMarks::Scope scope(marks.get(), {1, 2}, false, 5); }
    raise(SIGSEGV);
  });
  CHECK(signal == SIGSEGV);
  CHECK(opened(file)->crashed().empty());
}

TEST_CASE("plugin/crash_mark: the same command at two unclean stops in a row is to blame") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  auto killedAt = [&](uint64_t index) {
    CHECK(livesAndDies([&] {
            auto marks = opened(file, true);
            CrashMarks::Scope scope(marks.get(), {1, 2}, false, index);
            scope.cursor()->ordinal = 4;
            kill(getpid(), SIGKILL);
          }) == SIGKILL);
  };
  killedAt(5);
  killedAt(6);
  CHECK(opened(file)->crashed().empty());  // this look is an unclean stop without a mark
  killedAt(6);
  CHECK(opened(file)->crashed().empty());
  killedAt(7);
  killedAt(7);
  std::vector<CrashedAt> expected{{.replica = {1, 2}, .at = {7, 4}, .signal = 0}};
  CHECK(opened(file)->crashed() == expected);
}

TEST_CASE("plugin/crash_mark: a stop in good order between two clears the suspicion") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  auto killedAtFive = [&] {
    livesAndDies([&] {
      auto marks = opened(file, true);
      CrashMarks::Scope scope(marks.get(), {1, 2}, false, 5);
      kill(getpid(), SIGKILL);
    });
  };
  killedAtFive();
  opened(file)->closeCleanly();
  killedAtFive();
  CHECK(opened(file)->crashed().empty());
}

TEST_CASE("plugin/crash_mark: a damaged file is said to be damaged") {
  test::Scratch scratch;
  std::string file = scratch.file("marks");
  std::ofstream(file) << "short";
  auto cut = CrashMarks::open(file, false);
  REQUIRE_FALSE(cut.ok());
  CHECK(cut.fault().code == ErrorCode::corrupt);
  CHECK(cut.fault().text.find("has 5 bytes, not ") != std::string::npos);
  std::filesystem::remove(file);
  opened(file)->closeCleanly();
  {
    std::fstream flip(file, std::ios::in | std::ios::out | std::ios::binary);
    flip.put('x');
  }
  auto flipped = CrashMarks::open(file, false);
  REQUIRE_FALSE(flipped.ok());
  CHECK(flipped.fault().text == "crash marks " + file +
                                    ": its head is not ours; delete it, and the host forgets which "
                                    "replicas were faulted");
}
