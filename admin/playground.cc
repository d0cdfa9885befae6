// flotilla playground: a cluster on this machine, to try things with.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <sys/types.h>
#include <thread>
#include <unistd.h>

#include "admin/cluster.h"
#include "admin/nouns.h"
#include "admin/playground_files.h"
#include "admin/program.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint64_t kHostsMax = 7;
constexpr uint64_t kStopMs = 15'000;
constexpr uint64_t kStartMs = 60'000;
constexpr milliseconds kLook = milliseconds(50);

// What the playground's commands were told.
struct Words {
  std::string dir = "./playground";
  uint64_t hosts = 3;
  uint64_t basePort = 7400;
  bool hostsGiven = false;
  bool portGiven = false;
  uint64_t host = 0;
};

// The pid of a playground's host, 0 while it does not run. A pid file may be older than a reboot:
// it is believed only where that process runs that host.
pid_t pidOf(const PlaygroundPlace& place, uint64_t host) {
  long pid = 0;
  std::ifstream(place.pidFile(host)) >> pid;
  auto it = static_cast<pid_t>(pid);
  return runs(it, "flotilla-host", place.configFile(host)) ? it : 0;
}

Result<void> startHost(const PlaygroundPlace& place, uint64_t host) {
  Result<std::string> program = programBeside("flotilla-host");
  if (!program) return program.fault();
  std::vector<std::string> words = {*program, "--config", place.configFile(host)};
  if (!hasBegun(place, host)) words.emplace_back("--init");
  Result<pid_t> pid = startDetached(words, place.logFile(host));
  if (!pid) return pid.fault();
  std::ofstream out(place.pidFile(host), std::ios::trunc);
  out << *pid << "\n";
  out.close();
  if (!out) return Fault{ErrorCode::badRequest, place.pidFile(host) + ": cannot be written", ""};
  return {};
}

// False where it still runs when the time is up.
bool waitGone(const PlaygroundPlace& place, uint64_t host, uint64_t ms) {
  auto deadline = steady_clock::now() + milliseconds(ms);
  while (pidOf(place, host) != 0) {
    if (steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

// Why a host that was started is not there any more; empty while all are.
std::string whoFell(const PlaygroundPlace& place, const std::vector<uint64_t>& hosts) {
  for (uint64_t host : hosts) {
    if (pidOf(place, host) == 0) {
      return "host " + std::to_string(host) + ": stopped by itself; " + place.logFile(host) +
             " ends with: " + lastLogLine(place, host);
    }
  }
  return "";
}

// What is still missing of a cluster whose hosts let us in; empty once nothing is.
std::string missing(Cluster& cluster, const PlaygroundPlace& place,
                    const std::vector<uint64_t>& awaited) {
  for (uint64_t host : awaited) {
    const std::string& address = place.addresses[host - 1];
    auto link = cluster.wait(cluster.client().hosts().named({0, address}, 200 * kj::MILLISECONDS));
    if (link == nullptr) return "host " + std::to_string(host) + " at " + address;
  }
  auto response = cluster.wait(cluster.admin().clusterStatus());
  if (response.getStatus().getCatalogLeader() == 0) return "a leader of the catalog";
  // One that the catalog does not list yet gets no replica of what is created now.
  auto hosts = response.getStatus().getHosts();
  for (uint64_t host : awaited) {
    bool up = false;
    for (auto each : hosts) up = up || (each.getId() == host && each.getState() == "up");
    if (!up) return "host " + std::to_string(host) + " to be up";
  }
  return "";
}

// Waits until those hosts let us in, and the others say that they are up and the catalog is led.
Fault waitServing(const PlaygroundPlace& place, const std::vector<uint64_t>& awaited,
                  uint64_t limitMs, bool json) {
  auto deadline = steady_clock::now() + milliseconds(limitMs);
  Progress progress(json);
  std::string wanting = "hosts";
  client::ClientOptions wanted;
  wanted.addresses = place.addresses;
  wanted.callTimeoutMs = 1'000;
  Result<std::string> token = readFile(place.operatorToken(), 4'096);
  if (!token) return token.fault();
  wanted.token = token->substr(0, token->find('\n'));
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Cluster cluster(io, std::move(wanted));
  while (steady_clock::now() < deadline) {
    if (std::string fell = whoFell(place, awaited); !fell.empty()) {
      return {ErrorCode::unavailable, fell, ""};
    }
    progress.say("playground: waiting for " + wanting);
    KJ_IF_MAYBE (exception,
                 kj::runCatchingExceptions([&]() { wanting = missing(cluster, place, awaited); })) {
      wanting = client::faultOf(*exception).text;
    }
    if (wanting.empty()) return {ErrorCode::none, "", ""};
    cluster.wait(io.provider->getTimer().afterDelay(50 * kj::MILLISECONDS));
  }
  return {ErrorCode::timeout,
          "playground " + place.dir + ": not serving within " + std::to_string(limitMs) +
              " ms; waited for " + wanting + "; its hosts go on",
          ""};
}

std::vector<uint64_t> allHosts(const PlaygroundPlace& place) {
  std::vector<uint64_t> all;
  for (uint64_t host = 1; host <= place.hosts; ++host) all.push_back(host);
  return all;
}

Json playgroundJson(const PlaygroundPlace& place) {
  Json out;
  out["dir"] = place.dir;
  out["token"] = place.operatorToken();
  out["hosts"] = Json::array();
  for (uint64_t host = 1; host <= place.hosts; ++host) {
    pid_t pid = pidOf(place, host);
    out["hosts"].push_back({{"id", host},
                            {"state", pid != 0 ? "running" : "stopped"},
                            {"pid", pid},
                            {"address", place.addresses[host - 1]},
                            {"http", place.httpAddress(host)},
                            {"log", place.logFile(host)}});
  }
  return out;
}

void printPlayground(const PlaygroundPlace& place, bool json) {
  if (json) return printJson(playgroundJson(place));
  std::printf("playground %s\n", place.dir.c_str());
  Table table({"HOST", "STATE", "PID", "ADDRESS", "HTTP", "LOG"});
  for (uint64_t host = 1; host <= place.hosts; ++host) {
    pid_t pid = pidOf(place, host);
    table.add({std::to_string(host), pid != 0 ? "running" : "stopped",
               orDash(static_cast<uint64_t>(pid)), place.addresses[host - 1],
               place.httpAddress(host), place.logFile(host)});
  }
  table.print();
}

// The playground in the folder, made where there is none.
Result<PlaygroundPlace> openOrMake(const Words& words) {
  PlaygroundPlace wanted = placeOf(words.dir, words.hosts, words.basePort);
  Result<PlaygroundPlace> there = readPlayground(wanted.dir);
  if (!there) {
    if (Result<void> made = makePlayground(wanted); !made) return made.fault();
    return wanted;
  }
  bool other = (words.hostsGiven && there->hosts != words.hosts) ||
               (words.portGiven && there->basePort != words.basePort);
  if (!other) return there;
  return Fault{ErrorCode::badRequest,
               "playground " + there->dir + ": has " + std::to_string(there->hosts) +
                   " hosts from port " + std::to_string(there->basePort) +
                   "; leave out --hosts and --base-port, or name another --dir",
               ""};
}

Exit start(const Options& options, const std::string& command, const Words& words) {
  Speaker speaker(options.json, command);
  if (Result<std::string> program = programBeside("flotilla-host"); !program) {
    return speaker.usage(program.fault().text);
  }
  Result<PlaygroundPlace> place = openOrMake(words);
  if (!place) return speaker.usage(place.fault().text);
  for (uint64_t host = 1; host <= place->hosts; ++host) {
    if (pidOf(*place, host) != 0) continue;
    if (Result<void> started = startHost(*place, host); !started) {
      return speaker.usage(started.fault().text);
    }
  }
  rememberPlayground(*place);
  uint64_t limitMs = options.timeoutMs != 0 ? options.timeoutMs : kStartMs;
  Fault fault = waitServing(*place, allHosts(*place), limitMs, options.json);
  if (fault.code != ErrorCode::none) return speaker.fault(fault);
  printPlayground(*place, options.json);
  return Exit::done;
}

Exit stop(const Options& options, const std::string& command, const Words& words) {
  Speaker speaker(options.json, command);
  Result<PlaygroundPlace> place = readPlayground(placeOf(words.dir, 1, 1).dir);
  if (!place) return speaker.usage(place.fault().text);
  for (uint64_t host = 1; host <= place->hosts; ++host) {
    if (pid_t pid = pidOf(*place, host); pid != 0) kill(pid, SIGTERM);
  }
  uint64_t limitMs = options.timeoutMs != 0 ? options.timeoutMs : kStopMs;
  auto deadline = steady_clock::now() + milliseconds(limitMs);
  Progress progress(options.json);
  for (uint64_t host = 1; host <= place->hosts; ++host) {
    progress.say("playground: waiting for host " + std::to_string(host) + " to stop");
    auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    if (!waitGone(*place, host, left > 0 ? static_cast<uint64_t>(left) : 0)) {
      progress.clear();
      return speaker.fault({ErrorCode::timeout,
                            "host " + std::to_string(host) + ": still runs after " +
                                std::to_string(limitMs) + " ms; flotilla playground kill " +
                                std::to_string(host) + " ends it",
                            ""});
    }
  }
  progress.clear();
  printPlayground(*place, options.json);
  return Exit::done;
}

Exit status(const Options& options, const std::string& command, const Words& words) {
  Result<PlaygroundPlace> place = readPlayground(placeOf(words.dir, 1, 1).dir);
  if (!place) return Speaker(options.json, command).usage(place.fault().text);
  printPlayground(*place, options.json);
  return Exit::done;
}

// The playground and one of its hosts, by number.
Result<PlaygroundPlace> withHost(const Words& words) {
  Result<PlaygroundPlace> place = readPlayground(placeOf(words.dir, 1, 1).dir);
  if (!place) return place;
  if (words.host >= 1 && words.host <= place->hosts) return place;
  return Fault{ErrorCode::badRequest,
               "host " + std::to_string(words.host) + ": this playground has hosts 1 to " +
                   std::to_string(place->hosts),
               ""};
}

Exit killOne(const Options& options, const std::string& command, const Words& words) {
  Speaker speaker(options.json, command);
  Result<PlaygroundPlace> place = withHost(words);
  if (!place) return speaker.usage(place.fault().text);
  pid_t pid = pidOf(*place, words.host);
  if (pid != 0 && kill(pid, SIGKILL) != 0) {
    return speaker.usage("host " + std::to_string(words.host) + ": " + std::strerror(errno));
  }
  if (!waitGone(*place, words.host, kStopMs)) {
    return speaker.fault({ErrorCode::timeout,
                          "host " + std::to_string(words.host) + ": not gone yet after SIGKILL",
                          ""});
  }
  printPlayground(*place, options.json);
  return Exit::done;
}

Exit restartOne(const Options& options, const std::string& command, const Words& words) {
  Speaker speaker(options.json, command);
  Result<PlaygroundPlace> place = withHost(words);
  if (!place) return speaker.usage(place.fault().text);
  if (pid_t pid = pidOf(*place, words.host); pid != 0) {
    kill(pid, SIGTERM);
    if (!waitGone(*place, words.host, kStopMs)) {
      kill(pid, SIGKILL);
      waitGone(*place, words.host, kStopMs);
    }
  }
  if (Result<void> started = startHost(*place, words.host); !started) {
    return speaker.usage(started.fault().text);
  }
  // Others may be down on purpose, so it is only this one that is waited for.
  uint64_t limitMs = options.timeoutMs != 0 ? options.timeoutMs : kStartMs;
  Fault fault = waitServing(*place, {words.host}, limitMs, options.json);
  if (fault.code != ErrorCode::none) return speaker.fault(fault);
  printPlayground(*place, options.json);
  return Exit::done;
}

using Verb = Exit (*)(const Options&, const std::string&, const Words&);

CLI::App* addVerb(CLI::App& playground, Chosen& chosen, const std::string& verb, Verb run,
                  const std::shared_ptr<Words>& words, const std::string& description) {
  CLI::App* app = addCommand(playground, verb, description);
  app->add_option("--dir", words->dir, "its folder; default ./playground")->type_name("DIR");
  app->callback([&chosen, words, run, name = fullName(*app)]() {
    chosen.run = [words, run, name](const Options& options) { return run(options, name, *words); };
  });
  return app;
}

}  // namespace

void addPlaygroundCommands(CLI::App& root, Chosen& chosen) {
  CLI::App* playground =
      addNoun(root, "playground", "A cluster on this machine, to try things with.");
  auto words = std::make_shared<Words>();
  CLI::App* starting = addVerb(*playground, chosen, "start", start, words,
                               "Starts a cluster here, detached, and waits until it serves. Again: "
                               "starts those hosts of it that do not run.");
  CLI::Option* hosts = starting->add_option("--hosts", words->hosts, "how many; default 3")
                           ->type_name("N")
                           ->check(CLI::Range(uint64_t{1}, kHostsMax).description(""));
  CLI::Option* port =
      starting
          ->add_option("--base-port", words->basePort,
                       "host N listens on this + N - 1, its http on that + 100; default 7400")
          ->type_name("P")
          ->check(CLI::Range(uint64_t{1024}, uint64_t{65'000}).description(""));
  starting->callback([&chosen, words, hosts, port, name = fullName(*starting)]() {
    words->hostsGiven = hosts->count() != 0;
    words->portGiven = port->count() != 0;
    chosen.run = [words, name](const Options& options) { return start(options, name, *words); };
  });
  addVerb(*playground, chosen, "stop", stop, words, "Stops all its hosts in good order.");
  addVerb(*playground, chosen, "status", status, words, "Shows its hosts, running or not.");
  for (auto [verb, run, what] :
       {std::tuple{"kill", &killOne, "Ends one host at once, as a crash would (SIGKILL)."},
        std::tuple{"restart", &restartOne, "Stops one host, if it runs, and starts it again."}}) {
    addVerb(*playground, chosen, verb, run, words, what)
        ->add_option("HOST", words->host, "its number")
        ->required()
        ->type_name("");
  }
}

}  // namespace flotilla::admin
