// flotilla plugin: what groups run.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "admin/cluster.h"
#include "admin/new_plugin.h"
#include "admin/nouns.h"
#include "admin/program.h"
#include "admin/schema_text.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

Exit push(const Options& options, const std::string& command, const std::string& path) {
  Speaker speaker(options.json, command);
  Result<std::string> file = readFile(path, client::kPluginBytesMax);
  if (!file) return speaker.usage(file.fault().text);
  return withCluster(options, {command, kChangeMs}, [&](Cluster& cluster) {
    Progress progress(options.json);
    progress.say("plugin " + path + ": sending " + bytesText(file->size()));
    auto bytes = kj::heapArray<kj::byte>(file->size());
    std::memcpy(bytes.begin(), file->data(), bytes.size());
    auto response = cluster.wait(cluster.admin().pushPlugin(kj::mv(bytes)));
    progress.clear();
    auto plugin = response.getPlugin();
    if (options.json) {
      Json out = pluginJson(plugin);
      out["existed"] = response.getExisted();
      printJson(out);
    } else {
      std::printf(
          "plugin %s %s: %s, sha256 %s\n", plugin.getName().cStr(), plugin.getVersion().cStr(),
          response.getExisted() ? "was there already" : "pushed", plugin.getSha256().cStr());
    }
    return Exit::done;
  });
}

Exit list(const Options& options, const std::string& command) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().listPlugins());
    if (options.json) {
      Json out = {{"plugins", Json::array()}};
      for (auto plugin : response.getPlugins()) out["plugins"].push_back(pluginJson(plugin));
      printJson(out);
      return Exit::done;
    }
    Table table({"NAME", "VERSION", "SIZE", "GROUPS", "SHA256"});
    for (auto plugin : response.getPlugins()) {
      table.add({plugin.getName().cStr(), plugin.getVersion().cStr(), bytesText(plugin.getBytes()),
                 std::to_string(plugin.getGroups()), plugin.getSha256().cStr()});
    }
    table.print();
    return Exit::done;
  });
}

std::string hex(uint64_t id) {
  char out[24];
  std::snprintf(out, sizeof(out), "0x%016llx", static_cast<unsigned long long>(id));
  return out;
}

Json methodsJson(const client::Description& description) {
  Json out = Json::array();
  for (const client::MethodDescription& method : description.methods) {
    out.push_back({{"name", method.name},
                   {"kind", method.query ? "query" : "command"},
                   {"interfaceId", hex(method.id.interfaceId)},
                   {"method", method.id.method}});
  }
  return out;
}

Exit show(const Options& options, const std::string& command, const std::string& name) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().showPlugin(name));
    auto plugin = response.getPlugin();
    client::Description description = client::describe(response.getDescription());
    if (options.json) {
      Json out = pluginJson(plugin);
      out["interfaceId"] = hex(description.interfaceId);
      out["stateVersion"] = description.stateVersion;
      out["methods"] = methodsJson(description);
      printJson(out);
      return Exit::done;
    }
    Table head({"PLUGIN", plugin.getName().cStr()});
    head.add({"version", plugin.getVersion().cStr()});
    head.add({"sha256", plugin.getSha256().cStr()});
    head.add({"size", bytesText(plugin.getBytes())});
    head.add({"groups", std::to_string(plugin.getGroups())});
    head.add({"interface", hex(description.interfaceId)});
    head.add({"state version", std::to_string(description.stateVersion)});
    head.print();
    std::puts("");
    Table methods({"METHOD", "KIND"});
    for (const client::MethodDescription& method : description.methods) {
      methods.add({method.name, method.query ? "query" : "command"});
    }
    methods.print();
    return Exit::done;
  });
}

Exit schema(const Options& options, const std::string& command, const std::string& name) {
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto response = cluster.wait(cluster.admin().showPlugin(name));
    client::Description description = client::describe(response.getDescription());
    Result<std::unique_ptr<SchemaBook>> book = SchemaBook::open(description);
    if (!book) return Speaker(options.json, command).fault(book.fault());
    std::string text = schemaText(**book);
    if (options.json) {
      printJson({{"name", description.plugin},
                 {"version", description.version},
                 {"interfaceId", hex(description.interfaceId)},
                 {"methods", methodsJson(description)},
                 {"schema", text}});
    } else {
      std::fputs(text.c_str(), stdout);
    }
    return Exit::done;
  });
}

// What `plugin check` was told beside the file.
struct CheckOptions {
  std::string file;
  std::vector<std::string> words;  // as flotilla-plugin-check takes them
};

// Loading a plugin is not this program's affair: another one does it, in processes of its own.
Exit check(const Options& options, const std::string& command, const CheckOptions& asked) {
  Speaker speaker(options.json, command);
  Result<std::string> program = programBeside("flotilla-plugin-check");
  if (!program) return speaker.usage(program.fault().text);
  std::vector<std::string> words{*program, "--twins", asked.file};
  words.insert(words.end(), asked.words.begin(), asked.words.end());
  std::string output;
  Result<int> code = options.json ? runQuietly(words, output) : runProgram(words);
  if (!code) return speaker.usage(code.fault().text);
  while (!output.empty() && output.back() == '\n') output.pop_back();
  if (options.json && *code == 0) {
    printJson({{"file", asked.file}, {"good", true}, {"text", output}});
  } else if (options.json) {
    // What it is comes first, then, in the last line, why it must not be used.
    size_t line = output.rfind('\n');
    std::string why = line == std::string::npos ? output : output.substr(line + 1);
    return speaker.fault({ErrorCode::badRequest, why, ""});
  }
  return *code == 0 ? Exit::done : *code == 2 ? Exit::usage : Exit::refused;
}

void addCheck(CLI::App& plugin, Chosen& chosen) {
  struct Given {
    std::string file;
    uint64_t seed = 1;
    uint64_t calls = 2000;
    std::vector<std::string> allowed;
    std::vector<std::string> settings;
  };
  auto given = std::make_shared<Given>();
  CLI::App* app = addCommand(plugin, "check",
                             "Tries a plugin on this machine, without a cluster. Looks at what it "
                             "imports, then makes calls up by its schema and carries them out in "
                             "twin processes, one of them restored from snapshots midway: answers "
                             "and digests must be equal.");
  app->add_option("FILE", given->file, "a shared object")->required()->type_name("");
  app->add_option("--seed", given->seed, "what the calls are made up from; default 1")
      ->type_name("N");
  app->add_option("--calls", given->calls, "how many; default 2000")
      ->type_name("N")
      ->check(CLI::Range(3, 20'000).description(""));
  app->add_option("--allow", given->allowed, "an import that no command comes to; repeatable")
      ->type_name("SYMBOL");
  app->add_option("--config", given->settings, "a setting of the machine; repeatable")
      ->type_name("KEY=VALUE");
  app->callback([&chosen, given, name = fullName(*app)]() {
    chosen.run = [given, name](const Options& options) {
      CheckOptions asked{
          given->file,
          {"--seed", std::to_string(given->seed), "--calls", std::to_string(given->calls)}};
      for (const std::string& symbol : given->allowed) {
        asked.words.insert(asked.words.end(), {"--allow", symbol});
      }
      for (const std::string& setting : given->settings) {
        asked.words.insert(asked.words.end(), {"--config", setting});
      }
      return check(options, name, asked);
    };
  });
}

Exit create(const Options& options, const std::string& command, const std::string& path) {
  Speaker speaker(options.json, command);
  std::string folder = path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  std::string name = std::filesystem::path(folder).filename().string();
  if (Result<void> good = checkNewPluginName(name); !good) return speaker.usage(good.fault().text);
  Result<std::vector<std::string>> files = writeNewPlugin(name, folder);
  if (!files) return speaker.usage(files.fault().text);
  if (options.json) {
    printJson({{"name", name}, {"folder", folder}, {"files", *files}});
    return Exit::done;
  }
  std::printf("plugin %s: made, in %s\n\n", name.c_str(), folder.c_str());
  std::printf("  cmake -S %s -B %s/build && cmake --build %s/build\n", folder.c_str(),
              folder.c_str(), folder.c_str());
  std::printf("  ctest --test-dir %s/build\n", folder.c_str());
  std::printf("  flotilla plugin check %s/build/plugins/%s.so\n\n%s/README.md goes on from there\n",
              folder.c_str(), name.c_str(), folder.c_str());
  return Exit::done;
}

using Verb = Exit (*)(const Options&, const std::string&, const std::string&);

// A command's name, and what its one argument is.
struct Word {
  std::string verb;
  std::string argument;
  std::string argumentHelp;
};

void addVerb(CLI::App& plugin, Chosen& chosen, const Word& word, Verb run,
             const std::string& description) {
  auto target = std::make_shared<std::string>();
  CLI::App* app = addCommand(plugin, word.verb, description);
  app->add_option(word.argument, *target, word.argumentHelp)->required()->type_name("");
  app->callback([&chosen, target, run, name = fullName(*app)]() {
    chosen.run = [target, run, name](const Options& options) {
      return run(options, name, *target);
    };
  });
}

}  // namespace

void addPluginCommands(CLI::App& root, Chosen& chosen) {
  CLI::App* plugin = addNoun(root, "plugin", "The plugins: what groups run.");
  addVerb(*plugin, chosen, {"push", "FILE", "a shared object built with flotilla_add_plugin"}, push,
          "Gives a plugin to the cluster. The same file again succeeds.");
  CLI::App* listing = addCommand(*plugin, "list", "Lists plugins and how many groups run them.");
  listing->callback([&chosen, name = fullName(*listing)]() {
    chosen.run = [name](const Options& options) { return list(options, name); };
  });
  const std::string kWhich = "its name, or NAME@VERSION; without a version, the newest";
  addVerb(*plugin, chosen, {"show", "NAME", kWhich}, show, "Shows one plugin and its methods.");
  addVerb(*plugin, chosen, {"schema", "NAME", kWhich}, schema,
          "Prints a plugin's interface as Cap'n Proto source.");
  addCheck(*plugin, chosen);
  addVerb(*plugin, chosen, {"new", "NAME", "the plugin's name; its folder, NAME, is made here"},
          create, "Begins a plugin: a folder that builds and passes its own test.");
}

}  // namespace flotilla::admin
