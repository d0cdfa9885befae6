// A plugin's shared object, opened and found fit to be used.
#pragma once

#include <string>

#include "flotilla/abi.h"
#include "flotilla/result.h"

namespace flotilla::plugin {

// An opened plugin. Once opened a shared object stays until the process ends: threads, statics and
// machines of it may outlive whoever opened it, so there is nothing to close.
//
// Owner:  whoever opened it; the descriptor outlives every copy.
// Thread: any.
// Errors: open answers badRequest, one line that names the file, what was found and what to do.
class Library {
public:
  // Runs the file's constructors, so a file that is not known to be good is opened in a child
  // process first (probe.h).
  static Result<Library> open(const std::string& file);

  const flotilla_descriptor* descriptor() const { return descriptor_; }

private:
  explicit Library(const flotilla_descriptor* descriptor) : descriptor_(descriptor) {}

  const flotilla_descriptor* descriptor_;
};

}  // namespace flotilla::plugin
