// flotilla-plugin-check: what flotilla_add_plugin runs on each plugin it has linked.
#include <cstdio>
#include <cstring>
#include <string>

#include "host/plugin/probe.h"

int main(int argc, char** argv) {
  std::string file;
  bool json = false;
  bool quiet = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--quiet") == 0) {
      quiet = true;
    } else if (std::strcmp(argv[i], "--check-plugin") != 0) {
      file = argv[i];
    }
  }
  if (file.empty()) {
    std::fprintf(stderr, "usage: flotilla-plugin-check FILE [--json | --quiet]\n");
    return 2;
  }
  if (quiet && std::freopen("/dev/null", "w", stdout) == nullptr) return 2;
  return flotilla::plugin::checkPluginMain(file, json);
}
