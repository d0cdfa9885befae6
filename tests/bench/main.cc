// flotilla-bench: how many puts and gets a cluster answers, and how soon.
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include <kj/async-io.h>

#include "admin/cluster.h"
#include "admin/help.h"
#include "sdk/client/fault_text.h"
#include "tests/bench/groups.h"
#include "tests/bench/load.h"
#include "tests/bench/options.h"
#include "tests/bench/road.h"

namespace flotilla::bench {
namespace {

using admin::Exit;
using admin::Json;

constexpr uint64_t kMakeMs = 120'000;  // for the groups to be made

void addOptions(CLI::App& app, Options& options) {
  app.add_option("--connect", options.cluster.connect,
                 "hosts to try; default $FLOTILLA_CONNECT, else the playground's")
      ->type_name("HOST:PORT[,…]");
  app.add_option("--token", options.cluster.tokenFile,
                 "the file with our secret; default $FLOTILLA_TOKEN, else the playground's")
      ->type_name("FILE");
  auto range = [](auto low, auto high) { return CLI::Range(low, high).description(""); };
  app.add_option("--groups", options.groups, "calls go round this many groups; default 1")
      ->type_name("N")
      ->check(range(1, 100'000));
  app.add_option("--name", options.name, "the groups are NAME-1 … NAME-N; default bench")
      ->type_name("NAME");
  app.add_option("--value-bytes", options.valueBytes, "of a put's value; default 128")
      ->type_name("N")
      ->check(range(1, 1 << 20));
  app.add_option("--in-flight", options.inFlight,
                 "calls under way at a time, over all connections; default 1000")
      ->type_name("N")
      ->check(range(1, 1'000'000));
  app.add_option("--connections", options.connections,
                 "clients with a connection to each host; default 1")
      ->type_name("N")
      ->check(range(1, 1'000));
  app.add_option("--rate", options.rate,
                 "begin so many calls a second, whatever became of those before (open loop); "
                 "default: one for each that ends")
      ->type_name("N")
      ->check(range(1, 10'000'000));
  app.add_flag("--stay", options.stay,
               "each caller stays with its group, as clients of many services do; default: calls "
               "go round the groups")
      ->excludes("--rate");
  app.add_option("--seconds", options.seconds, "of measuring; default 10")
      ->type_name("N")
      ->check(range(0.1, 86'400.0));
  app.add_option("--warmup-seconds", options.warmupSeconds, "before that; default 1")
      ->type_name("N")
      ->check(range(0.0, 3'600.0));
  app.add_option("--keys", options.keys, "over all groups; default 100000")
      ->type_name("N")
      ->check(range(1, 100'000'000));
  app.add_option("--op", options.op, "put, get (linearizable), or mixed, half of each; default put")
      ->type_name("OP")
      ->check(CLI::IsMember({"put", "get", "mixed"}).description(""));
  app.add_option(
         "--road", options.road,
         "sdk: gathered, stamped and repeated by the C++ client; raw: a Cap'n Proto request "
         "a call, as from any language; default sdk")
      ->type_name("ROAD")
      ->check(CLI::IsMember({"sdk", "raw"}).description(""));
  app.add_flag("--typed", options.typed,
               "sdk: through the generated client, with a promise a call instead of a callback");
  app.add_option("--replicas", options.replicas, "of groups that are made; default 3")
      ->type_name("N")
      ->check(range(1, 7));
  app.add_flag("--json", options.cluster.json, "the result on one line, errors as one object");
}

// Why these options do not go together; empty: they do.
std::string unfit(const Options& options) {
  constexpr uint64_t kOfEach = 65'536;  // a host refuses more, and may lead all
  if (options.stay && options.inFlight < options.groups) {
    return "with --stay each group has callers of its own: --in-flight is to be --groups at least";
  }
  if (options.inFlight > kOfEach * std::min(options.groups, options.connections)) {
    return "--in-flight: " + std::to_string(options.inFlight) +
           " calls are more than 65536 a group and connection; ask for fewer, or for more of both";
  }
  return "";
}

void tell(const Seen& second) {
  uint64_t errors = 0;
  for (const auto& [code, count] : second.errors) errors += count;
  std::fprintf(stderr, "%9llu/s   p50 %7.2f ms   p99 %7.2f ms   max %7.2f ms   errors %llu\n",
               static_cast<unsigned long long>(second.done),
               static_cast<double>(second.latency.percentile(0.5)) / 1e3,
               static_cast<double>(second.latency.percentile(0.99)) / 1e3,
               static_cast<double>(second.latency.max()) / 1e3,
               static_cast<unsigned long long>(errors));
}

// The groups that were missing, and how long it took until all were ready.
struct Made {
  uint32_t groups = 0;
  double seconds = 0;
};

Json resultOf(const Options& options, Made made, const Seen& seen, const Load::Verdict& verdict) {
  uint64_t errors = 0;
  Json byCode = Json::object();
  for (const auto& [code, count] : seen.errors) {
    errors += count;
    byCode[code] = count;
  }
  double perSecond = static_cast<double>(seen.done) / seen.seconds;
  Json out;
  out["opsPerSecond"] = static_cast<uint64_t>(perSecond);
  out["latencyUs"] = {{"p50", seen.latency.percentile(0.5)},
                      {"p99", seen.latency.percentile(0.99)},
                      {"p999", seen.latency.percentile(0.999)},
                      {"max", seen.latency.max()}};
  out["errors"] = errors;
  out["errorsByCode"] = byCode;
  out["clientCpuUsPerOp"] =
      seen.done == 0 ? 0 : seen.cpuSeconds * 1e6 / static_cast<double>(seen.done);
  out["verified"] = {{"keys", verdict.read}, {"wrong", verdict.wrong}};
  out["made"] = {{"groups", made.groups}, {"seconds", made.seconds}};
  out["parameters"] = {{"op", options.op},
                       {"road", options.road},
                       {"typed", options.typed},
                       {"groups", options.groups},
                       {"name", options.name},
                       {"valueBytes", options.valueBytes},
                       {"inFlight", options.inFlight},
                       {"connections", options.connections},
                       {"rate", options.rate},
                       {"stay", options.stay},
                       {"seconds", options.seconds},
                       {"warmupSeconds", options.warmupSeconds},
                       {"keys", options.keysEach() * options.groups}};
  return out;
}

// Everything, with a cluster that has let us in.
Exit measure(const Options& options, admin::Cluster& cluster, const client::ClientOptions& access) {
  kj::AsyncIoContext& io = cluster.io();
  kj::TimePoint began = io.provider->getTimer().now();
  Made made{.groups = cluster.wait(ensureGroups(cluster.client(), options)), .seconds = 0};
  kj::Duration took = io.provider->getTimer().now() - began;
  made.seconds = static_cast<double>(took / kj::MICROSECONDS) / 1e6;
  Load load(options, io.provider->getTimer());
  std::vector<std::unique_ptr<Road>> roads;
  std::vector<Road*> used;
  for (uint32_t i = 0; i < options.connections; ++i) {
    roads.push_back(options.road == "raw" ? rawRoad(io, access, options, load)
                                          : sdkRoad(io, access, options, load));
    used.push_back(roads.back().get());
  }
  for (Road* road : used) cluster.wait(road->open());
  load.useRoads(std::move(used));
  if (options.op != "put") cluster.wait(load.fill());

  bool people = isatty(STDERR_FILENO) == 1;
  cluster.wait(load.run(people ? tell : std::function<void(const Seen&)>()));
  Load::Verdict verdict = cluster.wait(load.verify());
  Json result = resultOf(options, made, load.seen(), verdict);
  std::printf("%s\n", result.dump(options.cluster.json ? -1 : 2).c_str());
  if (verdict.wrong == 0) return Exit::done;
  return admin::Speaker(options.cluster.json, "flotilla-bench")
      .fault({ErrorCode::corrupt,
              std::to_string(verdict.wrong) + " of " + std::to_string(verdict.read) +
                  " keys hold something else than was acknowledged: " + verdict.example,
              ""});
}

int run(int argc, char** argv) {
  CLI::App app(
      "Measures a cluster: puts and gets of groups NAME-1 … NAME-N of plugin kv, which "
      "are made where they are missing. Prints one JSON object.",
      "flotilla-bench");
  app.formatter(std::make_shared<admin::Help>());
  app.set_help_flag("--help", "prints this");
  Options options;
  addOptions(app, options);
  admin::Speaker speaker(false, "flotilla-bench");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    return static_cast<int>(
        speaker.usage(std::string(error.what()) + "; see flotilla-bench --help"));
  }
  speaker = admin::Speaker(options.cluster.json, "flotilla-bench");
  if (std::string why = unfit(options); !why.empty()) {
    return static_cast<int>(speaker.usage(why));
  }
  Result<admin::Access> access = admin::accessOf(options.cluster);
  if (!access) return static_cast<int>(speaker.usage(access.fault().text));
  client::ClientOptions client;
  client.addresses = access->addresses;
  client.token = access->token;
  client::ClientOptions making = client;
  making.callTimeoutMs = kMakeMs;

  kj::AsyncIoContext io = kj::setupAsyncIo();
  admin::Cluster cluster(io, making);
  Exit exit = Exit::done;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&]() {
                 cluster.reach();
                 exit = measure(options, cluster, client);
               })) {
    exit = speaker.fault(client::faultOf(*exception), cluster.reached());
  }
  if (std::fflush(stdout) != 0) exit = Exit::usage;
  return static_cast<int>(exit);
}

}  // namespace
}  // namespace flotilla::bench

int main(int argc, char** argv) {
  return flotilla::bench::run(argc, argv);
}
