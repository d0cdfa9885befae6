// Opens a plugin's shared object, for good.
#include "host/plugin/library.h"

#include <array>
#include <fstream>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/dll/shared_library.hpp>

#include "host/plugin/descriptor.h"

namespace flotilla::plugin {
namespace {

constexpr const char* kNoThrow = "; flotilla_plugin must not";

Fault fault(const std::string& file, const std::string& text) {
  return {ErrorCode::badRequest, "plugin " + file + ": " + text, {}};
}

// dlerror's own words, out of what Boost wraps around them.
std::string loaderWords(const std::string& file, std::string_view text) {
  constexpr std::string_view kBefore = "dlerror system message: ";
  if (size_t at = text.find(kBefore); at != std::string_view::npos) {
    text.remove_prefix(at + kBefore.size());
    if (size_t end = text.rfind(')'); end != std::string_view::npos) text = text.substr(0, end);
  }
  // It names the file as we do.
  if (text.starts_with(file + ": ")) text.remove_prefix(file.size() + 2);
  std::string words(text);
  bool unresolved = text.find("undefined symbol") != std::string_view::npos;
  return unresolved ? words + "; link what it needs: flotilla_add_plugin(… LIBS …)" : words;
}

// Says in plain words what the loader would say in its own.
Result<void> checkFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fault(file, "cannot be read; is the path right?");
  std::array<char, 4> magic{};
  in.read(magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) !=
      "\x7f"
      "ELF") {
    return fault(file, "is no ELF file; give the shared object that flotilla_add_plugin builds");
  }
  return {};
}

// Keeps an object open to the end of the process, also past the destructors of statics.
void keepOpen(boost::dll::shared_library object) {
  static std::mutex mutex;
  static auto* kept = new std::vector<boost::dll::shared_library>;
  std::lock_guard lock(mutex);
  kept->push_back(std::move(object));
}

}  // namespace

Result<Library> Library::open(const std::string& file) try {
  using boost::dll::load_mode::rtld_local;
  using boost::dll::load_mode::rtld_now;
  Result<void> readable = checkFile(file);
  if (!readable) return readable.fault();
  boost::dll::shared_library object(file, rtld_now | rtld_local);
  if (!object.has("flotilla_plugin")) {
    return fault(file,
                 "exports no flotilla_plugin; does its source end with FLOTILLA_PLUGIN(...)?");
  }
  auto entry = object.get<const flotilla_descriptor*()>("flotilla_plugin");
  keepOpen(std::move(object));
  const flotilla_descriptor* descriptor = entry();
  Result<void> fit = checkDescriptor("plugin " + file, descriptor);
  if (!fit) return fit.fault();
  return Library(descriptor);
} catch (const boost::system::system_error& error) {
  // The throwing call, since the one that takes an error_code loses dlerror's own words.
  return fault(file, loaderWords(file, error.what()));
} catch (const std::exception& error) {
  return fault(file, std::string("threw while it was loaded: ") + error.what() + kNoThrow);
} catch (...) {
  return fault(file, std::string("threw something while it was loaded") + kNoThrow);
}

}  // namespace flotilla::plugin
