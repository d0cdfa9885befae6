// A plugin's machine as the applier sees it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flotilla/abi.h"
#include "host/group/ports.h"
#include "host/plugin/crash_mark.h"

namespace flotilla::plugin {

// The group's configuration of its machine, key and value.
using Settings = std::vector<std::pair<std::string, std::string>>;

// A new, empty machine. `descriptor` must have passed checkDescriptor (those of opened Libraries
// have). `marks` may be null: then nothing remembers which command was under way at a crash; it
// must outlive the machine. A machine that refuses its settings, or whose constructor throws, is
// badRequest.
//
// Whatever a plugin does wrong at the boundary (an exception that leaves it, an answer too many or
// too few, a result that is no segment) is a Fault of that machine, which then answers nothing
// else.
Result<std::unique_ptr<group::Machine>> makeMachine(const flotilla_descriptor* descriptor,
                                                    const Settings& settings, CrashMarks* marks,
                                                    group::ReplicaKey replica);

}  // namespace flotilla::plugin
