// TLS between hosts: with an authority and certificates made here.
#include "host/net/tls.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string>

#include <doctest/doctest.h>

#include "host/net/connection.h"
#include "host/net/listener.h"
#include "host/net/refusal.h"
#include "schemas/client.capnp.h"

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

namespace flotilla {
namespace {

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct CertFree {
  void operator()(X509* cert) const { X509_free(cert); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyFree>;
using Cert = std::unique_ptr<X509, CertFree>;

void extend(X509* cert, int kind, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// A certificate for `name`, signed by the authority, or by itself where there is none.
Cert makeCert(EVP_PKEY* key, const char* name, X509* authority, EVP_PKEY* authorityKey) {
  static long serial = 1;
  Cert cert(X509_new());
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key);
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(cert.get(),
                       authority == nullptr ? subject : X509_get_subject_name(authority));
  if (authority == nullptr) {
    extend(cert.get(), NID_basic_constraints, "critical,CA:TRUE");
  } else {
    extend(cert.get(), NID_subject_alt_name, "DNS:localhost,DNS:127.0.0.1");
  }
  X509_sign(cert.get(), authorityKey, EVP_sha256());
  return cert;
}

// A folder of PEM files: one authority with a host's key and certificate, by name.
struct Papers {
  std::string folder;

  Papers() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flotilla-tls-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~Papers() { std::filesystem::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }

  net::TlsFiles issue(const std::string& name) const {
    Key authorityKey(EVP_EC_gen("P-256"));
    Cert authority = makeCert(authorityKey.get(), "authority", nullptr, authorityKey.get());
    return issueBy(name, authority.get(), authorityKey.get());
  }
  net::TlsFiles issueBy(const std::string& name, X509* authority, EVP_PKEY* authorityKey) const {
    Key key(EVP_EC_gen("P-256"));
    Cert cert = makeCert(key.get(), name.c_str(), authority, authorityKey);
    net::TlsFiles files{path(name + ".crt"), path(name + ".key"), path(name + ".ca")};
    write(files.cert, [&](FILE* file) { PEM_write_X509(file, cert.get()); });
    write(files.ca, [&](FILE* file) { PEM_write_X509(file, authority); });
    write(files.key, [&](FILE* file) {
      PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
  }

private:
  template <typename Write>
  static void write(const std::string& to, Write writeIt) {
    FILE* file = std::fopen(to.c_str(), "w");
    REQUIRE(file != nullptr);
    writeIt(file);
    std::fclose(file);
  }
};

// Tells the caller what its certificate says.
class NameGate final : public schema::Gate::Server {
public:
  explicit NameGate(kj::Own<net::Caller> caller) : caller_(kj::mv(caller)) {}

protected:
  kj::Promise<void> login(LoginContext context) override {
    caller_->clientLoggedIn();
    context.getResults().initSession().setCluster(caller_->certificateName().c_str());
    return kj::READY_NOW;
  }

private:
  kj::Own<net::Caller> caller_;
};

struct Secured {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  kj::Timer& timer = io.provider->getTimer();
  kj::Own<net::Tls> tls;
  kj::Own<net::Listener> listener;

  explicit Secured(const net::TlsFiles& files) {
    auto loaded = net::Tls::load(files, timer);
    REQUIRE_MESSAGE(loaded, loaded.fault().text);
    tls = kj::mv(*loaded);
    listener = net::Listener::listen(io.provider->getNetwork(), timer, *tls,
                                     net::Address{"127.0.0.1", 0}, {},
                                     [](kj::Own<net::Caller> caller) -> capnp::Capability::Client {
                                       return kj::heap<NameGate>(kj::mv(caller));
                                     })
                   .wait(io.waitScope);
  }

  // What a login over such a connection answers, or why there was none.
  std::string login(kj::Maybe<net::Tls&> callersTls) {
    net::NetworkDialer dialer(io.provider->getNetwork(), timer, callersTls);
    std::string result;
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
                   net::Connection connection(
                       dialer.dial({"127.0.0.1", listener->port()}).wait(io.waitScope));
                   auto gate = connection.bootstrap().castAs<schema::Gate>();
                   auto answer = gate.loginRequest().send().wait(io.waitScope);
                   result = "let in as " + std::string(answer.getSession().getCluster().cStr());
                 })) {
      result = "refused: " + net::faultOf(*exception).text;
    }
    return result;
  }
};

}  // namespace

TEST_CASE("net/tls: both sides show certificates of one authority") {
  Papers papers;
  net::TlsFiles files = papers.issue("host-1");
  Secured secured(files);
  CHECK(secured.login(*secured.tls) == "let in as host-1");
}

TEST_CASE("net/tls: a certificate of another authority, or none, is not let in") {
  Papers papers;
  Secured secured(papers.issue("host-1"));
  auto stranger = net::Tls::load(papers.issue("stranger"), secured.timer);
  REQUIRE(stranger);
  CHECK(secured.login(**stranger).starts_with("refused: "));
  CHECK(secured.login(nullptr).starts_with("refused: "));
}

TEST_CASE("net/tls: a file at fault is named, with what was found in it") {
  Papers papers;
  kj::AsyncIoContext io = kj::setupAsyncIo();
  net::TlsFiles good = papers.issue("host-1");
  auto why = [&](net::TlsFiles files) {
    return net::Tls::load(files, io.provider->getTimer()).fault().text;
  };
  auto with = [&](std::string net::TlsFiles::*member, std::string path) {
    net::TlsFiles files = good;
    files.*member = path;
    return files;
  };
  std::string none = papers.path("none");
  std::string text = papers.path("text");
  std::ofstream(text) << "no PEM";
  CHECK(why(with(&net::TlsFiles::cert, none)) ==
        "tls: cert \"" + none + "\": No such file or directory");
  CHECK(why(with(&net::TlsFiles::ca, "")) ==
        "tls: ca \"\": not given; [tls] needs cert, key and ca");
  CHECK(why(with(&net::TlsFiles::cert, text)) ==
        "tls: cert \"" + text + "\": holds no certificate in PEM form");
  CHECK(why(with(&net::TlsFiles::key, text)) ==
        "tls: key \"" + text + "\": holds no unencrypted private key in PEM form");
  CHECK(why(with(&net::TlsFiles::ca, text)) ==
        "tls: ca \"" + text + "\": holds no certificate in PEM form");
  std::string otherKey = papers.issue("host-2").key;
  CHECK(why(with(&net::TlsFiles::key, otherKey)) ==
        "tls: key \"" + otherKey + "\": does not belong to the certificate in " + good.cert);
}

}  // namespace flotilla
