// TLS between hosts and from clients: one key and certificate, one authority, both sides checked.
#include "host/net/tls.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string>
#include <utility>
#include <vector>

#include <kj/debug.h>
#include <kj/vector.h>

#include "host/net/refusal.h"

namespace flotilla::net {
namespace {

constexpr size_t kPemBytesMax = 1 << 20;
constexpr std::string_view kPemEnd = "-----END CERTIFICATE-----";

Fault badFile(const char* key, const std::string& path, const std::string& found) {
  return Fault{ErrorCode::badRequest, std::string("tls: ") + key + " \"" + path + "\": " + found,
               ""};
}

Result<std::string> readPem(const char* key, const std::string& path) {
  if (path.empty()) return badFile(key, path, "not given; [tls] needs cert, key and ca");
  std::ifstream file(path, std::ios::binary);
  if (!file) return badFile(key, path, std::generic_category().message(errno));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.size() > kPemBytesMax) return badFile(key, path, "over 1 MiB; give a PEM file");
  return text;
}

// kj trusts only the first certificate of a text, so a bundle is cut into its parts.
std::vector<std::string> certificatesOf(std::string_view bundle) {
  std::vector<std::string> parts;
  for (size_t limit = bundle.find(kPemEnd); limit != std::string_view::npos;
       limit = bundle.find(kPemEnd)) {
    limit += kPemEnd.size();
    parts.push_back(std::string(bundle.substr(0, limit)) + "\n");
    bundle.remove_prefix(limit);
  }
  return parts;
}

// Makes a T of the PEM text, or says that it is none.
template <typename T>
Result<T> parse(const char* key, const std::string& path, const std::string& pem,
                const char* wanted) {
  kj::Maybe<T> parsed;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(
                              [&] { parsed = T(kj::StringPtr(pem.c_str(), pem.size())); })) {
    (void)exception;  // OpenSSL's words name no file
    return badFile(key, path, std::string("holds no ") + wanted + " in PEM form");
  }
  return kj::mv(KJ_ASSERT_NONNULL(parsed));
}

// kj takes a key that is not the certificate's without a word, and fails at each handshake.
bool belongTogether(const std::string& certPem, const std::string& keyPem) {
  auto text = [](const std::string& pem) {
    return std::unique_ptr<BIO, decltype(&BIO_free)>(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  };
  std::unique_ptr<X509, decltype(&X509_free)> cert(
      PEM_read_bio_X509(text(certPem).get(), nullptr, nullptr, nullptr), &X509_free);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(text(keyPem).get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  return cert != nullptr && key != nullptr && X509_check_private_key(cert.get(), key.get()) == 1;
}

}  // namespace

Result<kj::Own<Tls>> Tls::load(const TlsFiles& files, kj::Timer& timer) {
  Result<std::string> certPem = readPem("cert", files.cert);
  if (!certPem) return certPem.fault();
  Result<std::string> keyPem = readPem("key", files.key);
  if (!keyPem) return keyPem.fault();
  Result<std::string> caPem = readPem("ca", files.ca);
  if (!caPem) return caPem.fault();

  auto cert = parse<kj::TlsCertificate>("cert", files.cert, *certPem, "certificate");
  if (!cert) return cert.fault();
  auto key = parse<kj::TlsPrivateKey>("key", files.key, *keyPem, "unencrypted private key");
  if (!key) return key.fault();
  if (!belongTogether(*certPem, *keyPem)) {
    return badFile("key", files.key, "does not belong to the certificate in " + files.cert);
  }
  kj::Vector<kj::TlsCertificate> trusted;
  for (const std::string& part : certificatesOf(*caPem)) {
    auto one = parse<kj::TlsCertificate>("ca", files.ca, part, "certificate");
    if (!one) return one.fault();
    trusted.add(kj::mv(*one));
  }
  if (trusted.empty()) return badFile("ca", files.ca, "holds no certificate in PEM form");

  kj::TlsKeypair keypair{kj::mv(*key), kj::mv(*cert)};
  kj::TlsContext::Options options;
  options.useSystemTrustStore = false;
  options.verifyClients = true;
  options.trustedCertificates = trusted.asPtr();
  options.defaultKeypair = keypair;
  kj::Own<kj::TlsContext> context;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(
                              [&] { context = kj::heap<kj::TlsContext>(kj::mv(options)); })) {
    return badFile("cert", files.cert, faultOf(*exception).text);
  }
  return kj::heap<Tls>(kj::mv(context), timer);
}

Tls::Tls(kj::Own<kj::TlsContext> context, kj::Timer& timer)
    : timer_(timer), context_(kj::mv(context)) {}

kj::Promise<kj::AuthenticatedStream> Tls::wrapServer(kj::AuthenticatedStream stream) {
  auto tooLate =
      timer_.afterDelay(kTlsHandshakeMs * kj::MILLISECONDS)
          .then([]() -> kj::Promise<kj::AuthenticatedStream> {
            return gone("no TLS handshake within " + std::to_string(kTlsHandshakeMs) + " ms");
          });
  return context_->wrapServer(kj::mv(stream)).exclusiveJoin(kj::mv(tooLate));
}

kj::Promise<kj::Own<kj::AsyncIoStream>> Tls::wrapClient(kj::Own<kj::AsyncIoStream> stream,
                                                        kj::StringPtr host) {
  return context_->wrapClient(kj::mv(stream), host);
}

}  // namespace flotilla::net
