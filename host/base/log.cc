// The host's own log: spdlog behind one door.
#include "host/base/log.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace flotilla::base {
namespace {

constexpr std::size_t kLinesWaitingMax = 8192;
constexpr std::chrono::seconds kCloseMax{2};

// The output is written by one thread of spdlog's; a full queue overruns its oldest lines, so a
// blocked reader of stderr never blocks a loop.
struct Output {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  std::mutex mutex;
  std::atomic<bool> silent = false;  // closed while nobody read: what comes later is not said
};

Output& output() {
  static Output* const only = new Output;  // never destroyed: late lines of other statics may come
  return *only;
}

spdlog::level::level_enum levelOf(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::shared_ptr<spdlog::async_logger> logger() {
  Output& out = output();
  std::lock_guard lock(out.mutex);
  return out.logger;
}

}  // namespace

bool openLog(const std::string& file, LogLevel level) {
  Output& out = output();
  std::lock_guard lock(out.mutex);
  try {
    spdlog::sink_ptr sink;
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    }
    out.pool = std::make_shared<spdlog::details::thread_pool>(kLinesWaitingMax, 1);
    out.logger = std::make_shared<spdlog::async_logger>(
        "flotilla", std::move(sink), out.pool, spdlog::async_overflow_policy::overrun_oldest);
    out.logger->set_level(levelOf(level));
    out.logger->flush_on(spdlog::level::info);
    out.logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
    return true;
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
}

void closeLog() {
  Output& out = output();
  std::lock_guard lock(out.mutex);
  out.logger.reset();
  if (!out.pool) return;
  // The pool ends with its last line, and never where nobody reads that: then it is left behind.
  std::promise<void> said;
  std::future<void> ended = said.get_future();
  std::thread closing([pool = std::exchange(out.pool, nullptr), said = std::move(said)]() mutable {
    pool.reset();
    said.set_value();
  });
  if (ended.wait_for(kCloseMax) == std::future_status::ready) {
    closing.join();
  } else {
    closing.detach();
    out.silent = true;
  }
}

bool logs(LogLevel level) {
  auto it = logger();
  return it ? it->should_log(levelOf(level)) : level >= LogLevel::info;
}

void log(LogLevel level, std::string_view line) {
  auto it = logger();
  if (it) {
    it->log(levelOf(level), spdlog::string_view_t(line.data(), line.size()));
  } else if (level >= LogLevel::info && !output().silent) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  }
}

}  // namespace flotilla::base
