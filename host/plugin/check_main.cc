// flotilla-plugin-check: what flotilla_add_plugin runs on each plugin it has linked, and, with
// --twins, what `flotilla plugin check` runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "host/plugin/imports.h"
#include "host/plugin/probe.h"
#include "host/plugin/twin_part.h"
#include "host/plugin/twins.h"

namespace {

namespace plugin = flotilla::plugin;

constexpr int kUnfit = 1;
constexpr int kCommandLine = 2;

struct Asked {
  std::string file;
  bool json = false;
  bool quiet = false;
  bool twins = false;
  uint64_t seed = 1;
  uint64_t calls = 2000;
  std::vector<std::string> allowed;
  bool asGiven = false;
  std::string stateFile;
  std::vector<std::string> settingTexts;
  plugin::Settings settings;
};

int unfit(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  return kUnfit;
}

// Imports first, for they name their reason; then what they may have been used for.
int checkTwins(const Asked& asked) {
  auto imports = plugin::foreignImports(asked.file);
  if (!imports) return unfit("plugin " + asked.file + ": " + imports.fault().text);
  for (const plugin::ForeignImport& one : *imports) {
    bool allowed = std::count(asked.allowed.begin(), asked.allowed.end(), one.symbol) > 0;
    if (!allowed) {
      return unfit("plugin " + asked.file + ": " + one.text + "; --allow " + one.symbol +
                   " where no command comes to it");
    }
  }
  plugin::TwinSetup setup;
  setup.program = std::filesystem::read_symlink("/proc/self/exe");
  setup.file = asked.file;
  setup.seed = asked.seed;
  setup.calls = asked.calls;
  setup.settings = asked.settings;
  auto facts = plugin::compareTwins(setup);
  if (!facts) return unfit(facts.fault().text);
  if (!asked.json) {
    std::printf(
        "%llu calls made up from seed %llu: answers%s equal in twin processes, one of them "
        "restored %llu times from a snapshot\n",
        static_cast<unsigned long long>(facts->calls), static_cast<unsigned long long>(asked.seed),
        facts->digests ? " and digests" : "", static_cast<unsigned long long>(facts->restores));
    if (!facts->digests) std::printf("it has no digest: states were compared by answers alone\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (plugin::isTwinPart(words)) return plugin::playTwinPart(plugin::twinPartFrom(words));

  CLI::App app{"Tries a plugin out, in processes of its own."};
  Asked asked;
  app.add_option("FILE,--check-plugin", asked.file, "a shared object")->required();
  app.add_flag("--json", asked.json, "says what it is as one JSON object");
  app.add_flag("--quiet", asked.quiet, "says nothing of a plugin that is fit");
  app.add_flag("--twins", asked.twins,
               "judges its imports, and carries calls out in twin processes");
  app.add_option("--seed", asked.seed, "what the calls are made up from");
  app.add_option("--calls", asked.calls, "how many")->check(CLI::Range(3, 20'000));
  app.add_option("--allow", asked.allowed, "an import that is no reason to refuse");
  app.add_option("--config,--setting", asked.settingTexts, "a setting of the machine, key=value");
  app.add_option("--state", asked.stateFile, "what a machine has saved: its own must load it");
  app.add_flag("--as-given", asked.asGiven, "it must take the settings, even where there are none");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kCommandLine;
  }
  for (const std::string& text : asked.settingTexts) {
    auto setting = plugin::settingFrom(text);
    if (!setting) {
      std::fprintf(stderr, "--config \"%s\": write it as key=value\n", text.c_str());
      return kCommandLine;
    }
    asked.settings.push_back(std::move(*setting));
  }
  plugin::Trial trial;
  if (asked.asGiven || !asked.settings.empty()) trial.settings = asked.settings;
  trial.stateFile = asked.stateFile;
  if (asked.quiet && std::freopen("/dev/null", "w", stdout) == nullptr) return kCommandLine;
  int code = plugin::checkPluginMain(asked.file, asked.json, trial);
  std::fflush(stdout);  // what it is stands before why it must not be used
  return code == 0 && asked.twins ? checkTwins(asked) : code;
}
