// The cluster at the other end of a command.
#include "admin/cluster.h"

#include <cstdlib>

#include "admin/playground_place.h"

namespace flotilla::admin {
namespace {

constexpr size_t kTokenBytesMax = 4'096;
constexpr const char* kDefaultAddress = "127.0.0.1:7400";

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  return value == nullptr ? "" : value;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out;
  size_t from = 0;
  while (from <= list.size()) {
    size_t comma = std::min(list.find(',', from), list.size());
    if (comma > from) out.push_back(list.substr(from, comma - from));
    from = comma + 1;
  }
  return out;
}

Result<std::string> readToken(const std::string& file) {
  Result<std::string> text = readFile(file, kTokenBytesMax);
  if (!text) return Fault{ErrorCode::badRequest, "token " + text.fault().text, ""};
  std::string line = text->substr(0, text->find('\n'));
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  if (line.empty()) {
    return Fault{ErrorCode::badRequest, "token " + file + ": empty; it holds one line", ""};
  }
  return line;
}

}  // namespace

Result<Access> accessOf(const Options& options) {
  Access access;
  std::string connect = options.connect.empty() ? environment("FLOTILLA_CONNECT") : options.connect;
  std::string tokenFile =
      options.tokenFile.empty() ? environment("FLOTILLA_TOKEN") : options.tokenFile;
  std::optional<PlaygroundPlace> playground;
  if (connect.empty() || tokenFile.empty()) playground = findPlayground();

  access.addresses = split(connect);
  if (access.addresses.empty() && !connect.empty()) {
    return Fault{ErrorCode::badRequest,
                 "--connect \"" + connect + "\": no address; write host:port", ""};
  }
  for (const std::string& address : access.addresses) {
    if (address.find(':') == std::string::npos) {
      return Fault{ErrorCode::badRequest,
                   "--connect \"" + address + "\": no port; write it as host:port", ""};
    }
  }
  if (tokenFile.empty() && playground) tokenFile = playground->operatorToken();
  if (tokenFile.empty()) {
    return Fault{ErrorCode::badRequest,
                 "no token; name its file with --token or FLOTILLA_TOKEN, or start a playground",
                 ""};
  }
  Result<std::string> token = readToken(tokenFile);
  if (!token) return token.fault();
  access.token = *token;
  if (access.addresses.empty() && playground) access.addresses = playground->addresses;
  if (access.addresses.empty()) access.addresses = {kDefaultAddress};
  return access;
}

Exit withCluster(const Options& options, const Wish& wish,
                 const std::function<Exit(Cluster&)>& body) {
  Speaker speaker(options.json, wish.command);
  Result<Access> access = accessOf(options);
  if (!access) return speaker.usage(access.fault().text);

  client::ClientOptions wanted;
  wanted.addresses = access->addresses;
  wanted.token = access->token;
  wanted.callTimeoutMs = options.timeoutMs != 0 ? options.timeoutMs : wish.timeoutMs;
  wanted.sessions = wish.session;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  Cluster cluster(io, std::move(wanted));
  Exit exit = Exit::done;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&]() {
                 cluster.reach();
                 exit = body(cluster);
               })) {
    return speaker.fault(client::faultOf(*exception), cluster.reached());
  }
  return exit;
}

}  // namespace flotilla::admin
