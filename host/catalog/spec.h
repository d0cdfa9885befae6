// What is asked of a group, judged.
#pragma once

#include <string>
#include <string_view>

#include "host/catalog/view.h"

namespace flotilla::catalog {

// Of group 0, and of no other; checkSpec does not know it, for its verdicts are those of all
// versions.
inline constexpr std::string_view kOwnName = "catalog";

inline constexpr size_t kVotersMax = 7;
inline constexpr size_t kLearnersMax = 16;
inline constexpr size_t kSettingsMax = 256;            // options, and again the plugin's own
inline constexpr size_t kSettingBytesMax = 64 * 1024;  // a value
inline constexpr size_t kSpecBytesMax = 256 * 1024;    // all texts together

// What can be said without knowing the cluster: names, counts, repeats, options. Fault badRequest.
Result<GroupOptions> checkSpec(const SpecRecord& spec);

// Where `asked` is not what `standing` was made from, for a person: `plugin kv@1, asked for kv@2;
// …`. Empty: they are equal. Both have sorted lists. An asked-for count of 0 is any count.
std::string difference(const SpecRecord& standing, const SpecRecord& asked);

}  // namespace flotilla::catalog
