// A directory that is gone at the end of a test.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace flotilla::test {

// Owner: the test. Thread: any. Errors: aborts where there is no /tmp.
class TempDirectory {
public:
  TempDirectory() {
    // In memory where that is possible: these tests sync thousands of times, and what a power cut
    // leaves is made by FaultyEnv, not by the file system.
    char name[] = "/dev/shm/flotilla-store-XXXXXX";
    char other[] = "/tmp/flotilla-store-XXXXXX";
    if (::mkdtemp(name) != nullptr) {
      path_ = name;
    } else if (::mkdtemp(other) != nullptr) {
      path_ = other;
    } else {
      std::abort();
    }
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

// All regular files below `path`, sorted.
inline std::vector<std::string> filesBelow(const std::string& path) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace flotilla::test
