// Every connection's byte stream, the same at both ends: sdk/client has it.
#pragma once

#include "sdk/client/gathering_stream.h"

namespace flotilla::net {

using client::gathering;
using client::GatheringStream;
using client::kFlushBytes;
using client::kUnsentBytesMax;

}  // namespace flotilla::net
