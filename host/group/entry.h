// An entry's bytes: what stands in them, read in place.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/bytes.h"
#include "flotilla/result.h"
#include "host/group/ports.h"
#include "host/raft/types.h"

namespace flotilla::group {

// A payload is one Cap'n Proto segment of schemas/log.capnp Entry, without a segment table.
constexpr uint64_t kPayloadBytesMax = 32 << 20;
constexpr uint32_t kPayloadCommandsMax = 1 << 16;
constexpr uint32_t kConfigurationMembersMax = 1024;

enum class EntryKind : uint8_t {
  noOp,
  commands,
  configuration,
  openSession,
  timers,
  digestCheck,
  switchPlugin
};

// Which a host knows, for the catalog: 1 up to `timers`, 2 all, 3 also the catalog's setGroup and
// digests of states with events, 4 also groups' callsPerSecondMax, 5 kept answers that are saved as
// runs, and 6 that its disk keeps a build that does not know those from starting. Nothing newer is
// proposed, or saved, before every host says that it knows it.
constexpr uint32_t kEntriesVersion = 6;
constexpr uint32_t kUnmarkedVersion = 5;  // of a host whose disk does not say so yet
constexpr uint32_t kRunsVersion = 6;      // from here on answers are saved as runs

Bytes encodeNoOp(int64_t timeUs);
Bytes encodeConfiguration(int64_t timeUs, const raft::Configuration& configuration);
Bytes encodeOpenSession(int64_t timeUs, uint64_t salt);
Bytes encodeTimers(int64_t timeUs);
Bytes encodeDigestCheck(int64_t timeUs);
Bytes encodeSwitchPlugin(int64_t timeUs, std::string_view sha256);
// Commands of one entry, in order. Their params are copied: this is the one copy on their way.
Bytes encodeCommands(int64_t timeUs, std::span<const Call> calls);

// A command as it lies in a payload; `params` dies with the payload.
struct CommandView {
  Stamp stamp;
  uint64_t interfaceId = 0;
  uint16_t method = 0;
  std::string_view params;
};

// A decoded payload; made once and filled again and again: what it does not need keeps its room.
struct DecodedEntry {
  EntryKind kind = EntryKind::noOp;
  int64_t timeUs = 0;
  std::vector<CommandView> commands;  // with EntryKind::commands
  raft::Configuration configuration;  // with EntryKind::configuration
  uint64_t salt = 0;                  // with EntryKind::openSession
  std::string sha256;                 // with EntryKind::switchPlugin
  std::vector<uint64_t> aligned;      // a copy of a payload that was not aligned for words
};

// Both read hostile bytes: what does not fit, and a kind that this build does not know, is a Fault
// `corrupt`.
Result<void> decodeEntry(std::string_view payload, DecodedEntry& to);
// Leaves `commands` empty: the cheap look at what a peer has sent. A kind that this build does not
// know is no fault here: it is stored, and faults when it is applied.
struct EntryGlance {
  int64_t timeUs = 0;
  bool isConfiguration = false;
  raft::Configuration configuration;
};
Result<void> glanceAtEntry(std::string_view payload, EntryGlance& to);

}  // namespace flotilla::group
