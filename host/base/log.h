// The host's own log: one line an event, "who: what, key=value …".
#pragma once

#include <string>
#include <string_view>

namespace flotilla::base {

// info would be read on a calm day; warn heals itself; error asks for a person.
enum class LogLevel { trace, debug, info, warn, error };

// Where lines go. Until openLog is called they go to stderr. A file that cannot be written to, or a
// reader that has stopped reading, costs lines (counted, and said when it ends), never service.
//
// Thread: any.
// Errors: openLog answers false where the file cannot be opened.
bool openLog(const std::string& file, LogLevel level);  // file "" is stderr
void closeLog();  // after the last line; without it where nobody has read for two seconds
bool logs(LogLevel level);
void log(LogLevel level, std::string_view line);

inline void logInfo(std::string_view line) {
  log(LogLevel::info, line);
}
inline void logWarn(std::string_view line) {
  log(LogLevel::warn, line);
}
inline void logError(std::string_view line) {
  log(LogLevel::error, line);
}

}  // namespace flotilla::base
