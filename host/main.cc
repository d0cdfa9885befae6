// flotilla-host: one host of a cluster.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <vector>

#include <kj/async-io.h>
#include <kj/async-unix.h>

#include "host/api/services.h"
#include "host/base/log.h"
#include "host/plugin/probe.h"
#include "host/runtime/config.h"
#include "host/runtime/host.h"

namespace {

using flotilla::Fault;
namespace base = flotilla::base;
namespace runtime = flotilla::runtime;

constexpr int kRefused = 1;
constexpr int kCommandLine = 2;

int refuse(const Fault& fault) {
  std::fprintf(stderr, "flotilla-host: %s\n", fault.text.c_str());
  return kRefused;
}

base::LogLevel levelOf(const std::string& name) {
  if (name == "trace") return base::LogLevel::trace;
  if (name == "debug") return base::LogLevel::debug;
  if (name == "warn") return base::LogLevel::warn;
  if (name == "error") return base::LogLevel::error;
  return base::LogLevel::info;
}

// A machine that hangs, or a thread of a plugin's, must not hold the process: nothing is unwound
// once all that must be safe is on disk.
[[noreturn]] void leave(int code) {
  base::closeLog();
  std::fflush(stdout);  // stderr keeps nothing back; whoever waits for its reader has it locked
  ::_exit(code);
}

void endAtOnce(int) {
  ::_exit(kRefused);
}

// The first SIGTERM or SIGINT stops in good order, the second at once: by the kernel, since the
// loop may stand still while it waits for a machine.
kj::Promise<void> onSignals(kj::UnixEventPort& port, runtime::Host& host) {
  return port.onSignal(SIGTERM).exclusiveJoin(port.onSignal(SIGINT)).then([&host](siginfo_t) {
    sigset_t both;
    ::sigemptyset(&both);
    for (int signal : {SIGTERM, SIGINT}) {
      std::signal(signal, endAtOnce);
      ::sigaddset(&both, signal);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &both, nullptr);
    ::sd_notify(0, "STOPPING=1");
    host.stop();
  });
}

// Tells systemd when the host serves.
kj::Promise<void> tellReady(runtime::Host& host) {
  if (host.ready()) {
    ::sd_notify(0, "READY=1");
    return kj::READY_NOW;
  }
  ::sd_notify(0, ("STATUS=" + host.notReadyBecause()).c_str());
  return host.timer().afterDelay(100 * kj::MILLISECONDS).then([&host]() {
    return tellReady(host);
  });
}

// The usual soft limit is 1,024, which a host of many volumes and clients can come to need.
void allowManyFiles() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);  // where it is refused, what there is must do
}

int serve(const runtime::Config& config) {
  allowManyFiles();
  // Before any thread begins, the log's too: one without this mask would be ended by the signal.
  kj::UnixEventPort::captureSignal(SIGTERM);
  kj::UnixEventPort::captureSignal(SIGINT);
  if (!base::openLog(config.log, levelOf(config.logLevel))) {
    return refuse(
        {flotilla::ErrorCode::io, "log " + config.log + ": cannot be opened for writing", ""});
  }
  // A reader of our output that is gone must not end the process.
  std::signal(SIGPIPE, SIG_IGN);
  kj::AsyncIoContext io = kj::setupAsyncIo();
  runtime::Host host(config, io);
  flotilla::api::Services services(host);
  auto started = host.start(services.forHost());
  if (!started) {
    base::logError("host: " + started.fault().text);
    int code = refuse(started.fault());
    base::closeLog();
    leave(code);
  }
  auto web = services.serveHttp(io);
  auto signals = onSignals(io.unixEventPort, host).eagerlyEvaluate(nullptr);
  auto ready = tellReady(host).eagerlyEvaluate(nullptr);
  leave(host.run().wait(io.waitScope));
}

int checkPlugin(const std::string& file, bool json, flotilla::plugin::Trial trial,
                const std::vector<std::string>& settingTexts) {
  if (!trial.settings && !settingTexts.empty()) trial.settings.emplace();
  for (const std::string& text : settingTexts) {
    auto setting = flotilla::plugin::settingFrom(text);
    if (!setting) {
      std::fprintf(stderr, "flotilla-host: --setting \"%s\": write it as KEY=VALUE\n",
                   text.c_str());
      return kCommandLine;
    }
    trial.settings->push_back(std::move(*setting));
  }
  return flotilla::plugin::checkPluginMain(file, json, trial);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "One host of a Flotilla cluster: runs the replicas of many groups and speaks Cap'n Proto."};
  std::string configFile;
  std::string pluginFile;
  bool init = false;
  bool checkConfig = false;
  bool json = false;
  bool asGiven = false;
  flotilla::plugin::Trial trial;
  std::vector<std::string> settingTexts;
  app.add_option("--config", configFile, "the host's file, host.toml")->type_name("FILE");
  app.add_flag("--init", init,
               "first start only: makes data_dir, host.id and the operators' secret, then serves");
  app.add_flag("--check-config", checkConfig,
               "reads the file, says what is wrong with it, and ends");
  app.add_option("--check-plugin", pluginFile,
                 "opens a plugin in a child process, says what it is, and ends")
      ->type_name("FILE");
  app.add_flag("--json", json, "with --check-plugin: one JSON object");
  app.add_option("--setting", settingTexts, "with --check-plugin: one that its machine must take")
      ->type_name("KEY=VALUE");
  app.add_option("--state", trial.stateFile,
                 "with --check-plugin: what a machine has saved, which its own must load")
      ->type_name("FILE");
  app.add_flag(
      "--as-given", asGiven,
      "with --check-plugin: its machine must take the settings, even where there are none");
  app.set_version_flag("--version", std::string("flotilla-host ") + runtime::Host::version());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kCommandLine;
  }
  if (asGiven) trial.settings.emplace();
  if (!pluginFile.empty()) return checkPlugin(pluginFile, json, trial, settingTexts);
  if (configFile.empty()) {
    std::fprintf(stderr, "flotilla-host: no --config; give the host's file: --config host.toml\n");
    return kCommandLine;
  }
  auto config = runtime::readConfig(configFile);
  if (!config) {
    std::fprintf(stderr, "flotilla-host: %s\n", config.fault().text.c_str());
    return kCommandLine;
  }
  if (checkConfig) {
    std::printf("config %s: fine; host %lu of cluster %s\n", configFile.c_str(),
                static_cast<unsigned long>(config->hostId), config->clusterName.c_str());
    return 0;
  }
  if (init) {
    auto made = runtime::Host::init(*config);
    if (!made) return refuse(made.fault());
  }
  return serve(*config);
}
