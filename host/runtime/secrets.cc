// The secrets of this host, and what each opens.
#include "host/runtime/secrets.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include "host/store/files.h"
#include "host/store/host_id.h"

namespace flotilla::runtime {
namespace {

constexpr uint64_t kFileBytesMax = 4096;

Fault refused(const std::string& file, const std::string& text) {
  return Fault{ErrorCode::badRequest, "secret " + file + ": " + text, ""};
}

Result<void> makeSecret(const std::string& file) {
  if (store::exists(file)) return {};
  auto secret = store::randomHex128();
  if (!secret) return secret.fault();
  if (auto made = store::makeDirectories(store::parentOf(file)); !made) return made;
  return store::writeAside(file, *secret + "\n", 0600);
}

Result<std::string> readSecret(const std::string& file) {
  struct stat about {};
  if (::stat(file.c_str(), &about) != 0) {
    return refused(file, "not there; write a secret line into it, or run --init");
  }
  if ((about.st_mode & 077) != 0) {
    return refused(file, "open to other users; chmod 600 it");
  }
  auto text = store::readWhole(file, kFileBytesMax);
  if (!text) return text.fault();
  std::string line = text->substr(0, text->find('\n'));
  if (line.size() < Secrets::kSecretBytesMin) {
    return refused(file, std::to_string(line.size()) + " bytes; write a line of at least " +
                             std::to_string(Secrets::kSecretBytesMin));
  }
  return line;
}

}  // namespace

Result<void> Secrets::create(const Config& config) {
  if (auto made = makeSecret(config.operatorTokenFile); !made) return made;
  if (config.peerTokenFile == defaultPeerToken(config.clusterName)) {
    return makeSecret(config.peerTokenFile);
  }
  return {};
}

Result<void> Secrets::read(const Config& config) {
  auto peer = readSecret(config.peerTokenFile);
  if (!peer) return peer.fault();
  peerToken_ = *peer;
  secrets_.push_back({*peer, Access{Access::Role::peer, {}}});
  auto operators = readSecret(config.operatorTokenFile);
  if (!operators) return operators.fault();
  secrets_.push_back({*operators, Access{Access::Role::operatorRole, {}}});
  for (const ClientSecret& each : config.clients) {
    auto client = readSecret(each.tokenFile);
    if (!client) return client.fault();
    secrets_.push_back({*client, Access{Access::Role::client, each.groups}});
  }
  for (std::size_t i = 0; i < secrets_.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (secrets_[i].first == secrets_[j].first) {
        return Fault{ErrorCode::badRequest,
                     "secrets: two roles share one secret; give each file its own line", ""};
      }
    }
  }
  return {};
}

Result<Access> Secrets::access(std::string_view token) const {
  const Access* found = nullptr;
  for (const auto& [secret, access] : secrets_) {
    bool same = secret.size() == token.size() &&
                CRYPTO_memcmp(secret.data(), token.data(), token.size()) == 0;
    if (same) found = &access;
  }
  if (found == nullptr) {
    return Fault{ErrorCode::denied,
                 "login: this token opens nothing here; give the token of an operator "
                 "or of a client with --token FILE",
                 ""};
  }
  return *found;
}

}  // namespace flotilla::runtime
