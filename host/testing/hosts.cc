// Hosts of a cluster within this process: each with a loop on a thread of its own.
#include "sdk/testing/hosts.h"

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <kj/async-io.h>

#include "host/api/services.h"
#include "host/base/log.h"
#include "host/runtime/config.h"
#include "host/runtime/host.h"

namespace flotilla::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kHostsMax = 7;
constexpr auto kStartTime = std::chrono::seconds(10);
constexpr auto kLookAgain = milliseconds(5);
std::atomic<int> clustersNow{0};

[[noreturn]] void refuse(const std::string& text) {
  throw std::runtime_error(text);
}

// Ports that are free now, all different. Another program may take one before its host does; then
// that host says so.
std::vector<uint16_t> freePorts(uint32_t count) {
  std::vector<int> sockets;
  std::vector<uint16_t> ports;
  for (uint32_t i = 0; i < count; ++i) {
    int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* address = reinterpret_cast<sockaddr*>(&at);
    bool bound = socket >= 0 && ::bind(socket, address, sizeof at) == 0 &&
                 ::getsockname(socket, address, &size) == 0;
    if (socket >= 0) sockets.push_back(socket);
    if (bound) ports.push_back(ntohs(at.sin_port));
  }
  for (int socket : sockets) ::close(socket);
  if (ports.size() != count) refuse("hosts: no free ports on 127.0.0.1");
  return ports;
}

std::string newDirectory() {
  std::string path = (fs::temp_directory_path() / "flotilla-cluster-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) refuse("hosts: " + path + ": cannot be made");
  return path;
}

void writeSecret(const std::string& path, const std::string& line) {
  std::ofstream(path) << line << "\n";
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

}  // namespace

// One host that runs.
//
// Owner:  Hosts. Its end is a kill.
// Thread: Hosts'; the host itself lives on `thread_`.
// Errors: the constructor throws the host's own line.
class Hosts::Running {
public:
  explicit Running(runtime::Config config) {
    std::promise<void> started;
    std::future<void> outcome = started.get_future();
    thread_ = std::thread([this, config = std::move(config), &started]() mutable {
      serve(std::move(config), started);
    });
    try {
      outcome.get();
    } catch (...) {
      thread_.join();
      throw;
    }
  }
  ~Running() { end(&runtime::Host::kill); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  bool ready() const {
    return executor_->executeSync([this]() { return host_->ready(); });
  }
  std::string notReadyBecause() const {
    return executor_->executeSync([this]() { return host_->notReadyBecause(); });
  }
  // Returns once the host is gone.
  void end(void (runtime::Host::*how)()) {
    if (!thread_.joinable()) return;
    // It may have ended by itself, when its disk failed.
    try {
      executor_->executeSync([this, how]() { (host_->*how)(); });
    } catch (const kj::Exception&) {
    }
    thread_.join();
  }

private:
  void serve(runtime::Config config, std::promise<void>& started) {
    std::unique_ptr<Whole> whole;
    try {
      whole = std::make_unique<Whole>(std::move(config));
      auto begun = whole->host.start(whole->services.forHost());
      if (!begun) refuse(begun.fault().text);
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    host_ = &whole->host;
    executor_ = kj::getCurrentThreadExecutor().addRef();
    started.set_value();
    whole->host.run().wait(whole->io.waitScope);
    whole->io.waitScope.poll();  // what the last connections held goes before those who gave it
    if (whole->host.leftThreads()) leave(std::move(whole));
  }

  struct Whole {
    explicit Whole(runtime::Config config) : host(std::move(config), io), services(host) {
      host.leaveSignals();
    }
    kj::AsyncIoContext io = kj::setupAsyncIo();
    runtime::Host host;
    api::Services services;
  };
  // A machine that does not return is in there, for as long as the process lives.
  static void leave(std::unique_ptr<Whole> whole) {
    static auto* const left = new std::vector<std::unique_ptr<Whole>>;
    static std::mutex mutex;
    std::lock_guard lock(mutex);
    left->push_back(std::move(whole));
  }

  runtime::Host* host_ = nullptr;  // its thread's
  kj::Own<const kj::Executor> executor_;
  std::thread thread_;
};

struct Hosts::Parts {
  std::string directory;
  std::string token = "operator-of-a-test-cluster";
  std::string checker;
  std::map<uint64_t, std::string> addresses;
  std::map<uint64_t, std::unique_ptr<Running>> hosts;
  int exceptions = std::uncaught_exceptions();

  Parts() {
    directory = newDirectory();
    // One log a process: those of several clusters at a time write into the first one's.
    if (clustersNow.fetch_add(1) == 0) {
      base::openLog(directory + "/hosts.log", base::LogLevel::info);
    }
  }
  ~Parts() {
    hosts.clear();
    if (clustersNow.fetch_sub(1) == 1) base::closeLog();
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  std::string place(uint64_t host) const { return directory + "/host-" + std::to_string(host); }

  // As small as it gets: a test holds little, and waits for the start of each of many.
  runtime::Config config(uint64_t host) const {
    std::string founders;
    for (const auto& [id, address] : addresses) {
      founders += (founders.empty() ? "" : ", ") + std::to_string(id) + " = \"" + address + "\"";
    }
    std::string text =
        "[host]\nid = " + std::to_string(host) + "\nlisten = \"" + addresses.at(host) +
        "\"\ndata_dir = \"state\"\n[cluster]\nname = \"test\"\nfounders = { " + founders +
        " }\noperator_token = \"../operator.token\"\npeer_token = "
        "\"../peer.token\"\n[storage]\nballast_bytes = 0\npreallocate = false\n"
        "snapshot_bytes_per_second = 0\n";
    auto config = runtime::parseConfig(text, place(host) + "/host.toml");
    if (!config) refuse(config.fault().text);
    config->checker = checker;
    return std::move(*config);
  }
};

Hosts::Hosts(HostsOptions options) : parts_(std::make_unique<Parts>()) {
  Parts& p = *parts_;
  if (options.count == 0 || options.count > kHostsMax) {
    refuse("hosts: " + std::to_string(options.count) + " asked for; there can be 1 to " +
           std::to_string(kHostsMax));
  }
  p.checker = options.checker;
  writeSecret(p.directory + "/operator.token", p.token);
  writeSecret(p.directory + "/peer.token", "peer-of-a-test-cluster");
  std::vector<uint16_t> ports = freePorts(options.count);
  for (uint64_t id = 1; id <= options.count; ++id) {
    p.addresses[id] = "127.0.0.1:" + std::to_string(ports[id - 1]);
  }
  for (const auto& [id, address] : p.addresses) {
    fs::create_directory(p.place(id));
    if (auto made = runtime::Host::init(p.config(id)); !made) refuse(made.fault().text);
    start(id);
  }
  auto deadline = Clock::now() + kStartTime;
  for (const auto& [id, host] : p.hosts) {
    while (!host->ready()) {
      if (Clock::now() > deadline) {
        refuse("host " + std::to_string(id) + ": not ready: " + host->notReadyBecause() +
               "; log: " + p.directory + "/hosts.log");
      }
      std::this_thread::sleep_for(kLookAgain);
    }
  }
}

Hosts::~Hosts() {
  parts_->hosts.clear();
  if (std::uncaught_exceptions() > parts_->exceptions) return;
  std::error_code ignored;
  fs::remove_all(parts_->directory, ignored);
}

std::vector<uint64_t> Hosts::ids() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, address] : parts_->addresses) ids.push_back(id);
  return ids;
}

std::vector<std::string> Hosts::addresses() const {
  std::vector<std::string> all;
  for (const auto& [id, address] : parts_->addresses) all.push_back(address);
  return all;
}

const std::string& Hosts::token() const {
  return parts_->token;
}
const std::string& Hosts::directory() const {
  return parts_->directory;
}

std::unique_ptr<Hosts::Running>& Hosts::at(uint64_t host) const {
  if (parts_->addresses.count(host) == 0) {
    refuse("host " + std::to_string(host) + ": there are 1 to " +
           std::to_string(parts_->addresses.size()));
  }
  return parts_->hosts[host];
}

bool Hosts::runs(uint64_t host) const {
  return at(host) != nullptr;
}

bool Hosts::ready(uint64_t host) const {
  return runs(host) && at(host)->ready();
}

void Hosts::start(uint64_t host) {
  if (runs(host)) refuse("host " + std::to_string(host) + ": runs already");
  at(host) = std::make_unique<Running>(parts_->config(host));
}

void Hosts::stop(uint64_t host) {
  if (!runs(host)) refuse("host " + std::to_string(host) + ": does not run");
  at(host)->end(&runtime::Host::stop);
  at(host).reset();
}

void Hosts::kill(uint64_t host) {
  if (!runs(host)) refuse("host " + std::to_string(host) + ": does not run");
  at(host).reset();
}

}  // namespace flotilla::testing
