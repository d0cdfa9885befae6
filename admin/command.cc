// What every command of `flotilla` has in common: options, exit codes, where words go.
#include "admin/command.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace flotilla::admin {
namespace {

constexpr size_t kGroupNameBytesMax = 63;

bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool isNamePart(char c) {
  return isNameStart(c) || c == '.' || c == '_' || c == '-';
}

std::string oneLine(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace

Json errorObject(const Fault& fault) {
  Json error;
  error["code"] = std::string(nameOf(fault.code));
  if (fault.code == ErrorCode::app) error["appCode"] = fault.appCode;
  error["text"] = oneLine(fault.text);
  error["maybeDone"] = maybeDone(fault.code);
  return error;
}

Exit exitFor(const Fault& fault, bool reached) {
  if (maybeDone(fault.code)) return Exit::unknown;
  if (fault.code == ErrorCode::unavailable && !reached) return Exit::nowhere;
  return Exit::refused;
}

Exit Speaker::usage(const std::string& text) const {
  if (json_) {
    Json error = {{"code", "badRequest"}, {"text", oneLine(text)}, {"maybeDone", false}};
    std::string line = Json{{"error", error}}.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    std::fprintf(stderr, "%s: %s\n", command_.c_str(), oneLine(text).c_str());
  }
  return Exit::usage;
}

Exit Speaker::fault(const Fault& fault, bool reached) const {
  if (json_) {
    std::string line =
        Json{{"error", errorObject(fault)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    std::string code(nameOf(fault.code));
    if (fault.code == ErrorCode::app) code = fault.appCode;
    std::fprintf(stderr, "%s: %s: %s\n", command_.c_str(), code.c_str(),
                 oneLine(fault.text).c_str());
  }
  return exitFor(fault, reached);
}

Result<void> checkGroupName(const std::string& name, bool idAllowed) {
  if (idAllowed && name.rfind("id:", 0) == 0) {
    std::string digits = name.substr(3);
    bool number = !digits.empty() && digits.size() <= 20 &&
                  digits.find_first_not_of("0123456789") == std::string::npos;
    if (number) return {};
    return Fault{ErrorCode::badRequest, "group \"" + name + "\": no number; write it as id:7", ""};
  }
  bool good = !name.empty() && name.size() <= kGroupNameBytesMax && isNameStart(name[0]);
  for (char c : name) good = good && isNamePart(c);
  if (good) return {};
  return Fault{ErrorCode::badRequest,
               "group \"" + name +
                   "\": not a group's name; write 1 to 63 of a-z, 0-9, '.', '_', '-', the first a "
                   "letter or digit",
               ""};
}

Result<std::string> readFile(const std::string& path, size_t bytesMax) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) return Fault{ErrorCode::badRequest, path + ": " + std::strerror(errno), ""};
  std::string out;
  char buffer[65536];
  for (;;) {
    size_t count = std::fread(buffer, 1, sizeof(buffer), file.get());
    out.append(buffer, count);
    if (out.size() > bytesMax) {
      return Fault{ErrorCode::badRequest,
                   path + ": more than " + std::to_string(bytesMax) + " bytes; give a smaller file",
                   ""};
    }
    if (count < sizeof(buffer)) break;
  }
  if (std::ferror(file.get()) != 0) {
    return Fault{ErrorCode::badRequest, path + ": " + std::strerror(errno), ""};
  }
  return out;
}

}  // namespace flotilla::admin
