// A name for bytes that follows from them alone.
#include "host/base/content_name.h"

#include <memory>
#include <openssl/evp.h>

#include "host/base/assert.h"

namespace flotilla::base {

ContentName contentName(std::string_view bytes, std::string_view more) {
  // EVP_sha256() stands for one that each use looks up anew, in tables of names.
  static EVP_MD* const kSha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // for good
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  ContentName name;
  bool named = kSha256 != nullptr && hash != nullptr &&
               EVP_DigestInit_ex(hash.get(), kSha256, nullptr) == 1 &&
               EVP_DigestUpdate(hash.get(), bytes.data(), bytes.size()) == 1 &&
               EVP_DigestUpdate(hash.get(), more.data(), more.size()) == 1 &&
               EVP_DigestFinal_ex(hash.get(), name.data(), nullptr) == 1;
  ASSERT(named);
  return name;
}

}  // namespace flotilla::base
