// flotilla: the operator's command.
#include <cstdio>
#include <memory>

#include "admin/help.h"
#include "admin/nouns.h"

namespace flotilla::admin {
namespace {

constexpr uint64_t kTimeoutMsMax = 24ULL * 3600 * 1000;

// One line of what CLI11 found, for the command that it found it in.
Exit refuse(const CLI::App& root, const CLI::ParseError& error, bool json) {
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  std::string text = error.what();
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
      text.find("subcommand") != std::string::npos) {
    text = "no command given";
  }
  return Speaker(json, fullName(*app)).usage(text + "; see " + fullName(*app) + " --help");
}

// Whatever else is wrong with the line, errors take the form that it asks for.
bool asksForJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

int run(int argc, char** argv) {
  CLI::App root(
      "Operates a Flotilla cluster, and calls its groups. Exit codes: 0 done, or so already; 1 "
      "refused; 2 the command line or a file of ours; 3 no host reached, nothing sent; 4 sent, "
      "outcome unknown.",
      "flotilla");
  root.formatter(std::make_shared<Help>());
  root.require_subcommand(1);
  root.set_help_flag("--help", "prints this");
  root.set_version_flag("--version", "flotilla " FLOTILLA_VERSION);

  Options options;
  root.add_option("--connect", options.connect,
                  "hosts to try; default $FLOTILLA_CONNECT, else the playground's, else "
                  "127.0.0.1:7400")
      ->type_name("HOST:PORT[,…]");
  root.add_option("--token", options.tokenFile,
                  "the file with our secret; default $FLOTILLA_TOKEN, else the playground's "
                  "(./playground, or the one started last)")
      ->type_name("FILE");
  root.add_flag("--json", options.json, "one JSON object on stdout, errors as one on stderr");
  root.add_option("--timeout-ms", options.timeoutMs,
                  "give up waiting after this long; default 10000, and 60000 for what is answered "
                  "when it is done")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, kTimeoutMsMax).description(""));

  Chosen chosen;
  addPlaygroundCommands(root, chosen);
  addHostCommands(root, chosen);
  addPluginCommands(root, chosen);
  addGroupCommands(root, chosen);
  addCallCommand(root, chosen);
  addStatusCommand(root, chosen);
  addTopCommand(root, chosen);
  addEventsCommand(root, chosen);

  try {
    root.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return root.exit(wanted);
  } catch (const CLI::ParseError& error) {
    return static_cast<int>(refuse(root, error, asksForJson(argc, argv)));
  }
  int exit = static_cast<int>(chosen.run(options));
  if (std::fflush(stdout) != 0) return static_cast<int>(Exit::usage);
  return exit;
}

}  // namespace
}  // namespace flotilla::admin

int main(int argc, char** argv) {
  return flotilla::admin::run(argc, argv);
}
