// Where this build has put its plugins and programs.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdlib.h>
#include <string>

namespace flotilla::test {

inline std::string built(const std::string& path) {
  const char* build = std::getenv("FLOTILLA_BUILD");
  return std::string(build == nullptr ? "build/debug" : build) + "/" + path;
}
inline std::string pluginFile(const std::string& name) {
  return built("plugins/" + name + ".so");
}
inline std::string badFile(const std::string& name) {
  return built("test-plugins/" + name + ".so");
}

// A directory that goes with the test.
class Scratch {
public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "flotilla-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

}  // namespace flotilla::test
