// What a machine's author throws.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace flotilla {

// An answer like any other: the caller gets `code` and the text, the same on every replica, and the
// command has changed nothing (Tables are put back by the SDK; what is not in a Table the author
// leaves alone until nothing can be thrown any more). Everything else that a handler throws is a
// fault: the replica stops at that command.
//
// Thread: the handler's.
// Errors: it is one.
class Error : public std::runtime_error {
public:
  // `code` is one camelCase word for programs; `text` one line for people.
  Error(std::string code, const std::string& text)
      : std::runtime_error(text), code_(std::move(code)) {}

  const std::string& code() const { return code_; }

private:
  std::string code_;
};

}  // namespace flotilla
