// Raft's values in words: what a trace and a script show of a step.
#pragma once

#include <string>

#include "host/raft/effects.h"
#include "host/raft/input.h"
#include "host/raft/log_shape.h"
#include "host/raft/message.h"
#include "host/raft/types.h"

namespace flotilla::raft {

// One line each, without its end.
std::string describe(Role role);
std::string describe(const LogPoint& point);               // "12@3": index 12, term 3
std::string describe(const Configuration& configuration);  // "(1 2 3) learners=(4)"
std::string describe(const Message& message);              // "n1->n2 t3 append after=2@2 …"
std::string describe(const Input& input);
std::string describe(RefusedWhy why);
// "12@3 | 13@3 14@4": the base, then the runs, and where configurations stand.
std::string describe(const LogShape& shape);

// One line for each effect, ended; `apply` is left out, since it is not a change.
std::string describe(const Effects& effects);

}  // namespace flotilla::raft
