// The secrets of this host, and what each opens.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flotilla/result.h"
#include "host/runtime/access.h"
#include "host/runtime/config.h"

namespace flotilla::runtime {

// Read from files once, at the start. A secret is a file's first line, at least kSecretBytesMin
// long.
//
// Thread: the loop's.
// Errors: a file that is missing, empty, or open to others is a fault that says what to do.
class Secrets {
public:
  static constexpr std::size_t kSecretBytesMin = 16;

  // Makes the operators' secret, and the peers' where it lives in the user's own folder, unless
  // they are there.
  static Result<void> create(const Config& config);
  Result<void> read(const Config& config);

  // Compares in a time that does not depend on how much of it is right.
  Result<Access> access(std::string_view token) const;
  const std::string& peerToken() const { return peerToken_; }

private:
  std::string peerToken_;
  std::vector<std::pair<std::string, Access>> secrets_;
};

}  // namespace flotilla::runtime
