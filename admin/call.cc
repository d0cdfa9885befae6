// flotilla call: one call of a group, or many, in JSON.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <unistd.h>

#include "admin/call_lines.h"
#include "admin/cluster.h"
#include "admin/nouns.h"
#include "admin/table.h"
#include "admin/views.h"

namespace flotilla::admin {
namespace {

struct Calling {
  std::string group;
  std::string method;
  std::vector<std::string> words;
  bool lines = false;
  CLI::Option* stale = nullptr;
  uint32_t staleMs = 0;
  std::string data = "text";
};

Result<JsonTree> jsonFrom(const std::string& word) {
  if (word != "-") return parseJson(word);
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  return parseJson(text);
}

Result<std::vector<std::pair<std::string, std::string>>> pairsFrom(
    const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Fault{ErrorCode::badRequest,
                   "\"" + word + "\": write field=value, field=@FILE, one JSON object, or -", ""};
    }
    std::string value = word.substr(equals + 1);
    if (!value.empty() && value[0] == '@') {
      Result<std::string> file = readFile(value.substr(1), client::kParamsBytesMax);
      if (!file) return Fault{ErrorCode::badRequest, word + ": " + file.fault().text, ""};
      value = std::move(*file);
    }
    pairs.emplace_back(word.substr(0, equals), std::move(value));
  }
  return pairs;
}

bool isJson(const std::vector<std::string>& words) {
  return words.size() == 1 && (words[0] == "-" || words[0][0] == '{');
}

Result<kj::Array<capnp::word>> paramsFrom(const CallForm& form,
                                          const std::vector<std::string>& words) {
  if (isJson(words)) {
    Result<JsonTree> object = jsonFrom(words[0]);
    if (!object) return object.fault();
    return form.params(*object);
  }
  Result<std::vector<std::pair<std::string, std::string>>> pairs = pairsFrom(words);
  if (!pairs) return pairs.fault();
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::DynamicStruct>(form.method.params);
  if (Result<void> filled = fillFields(root, *pairs); !filled) return filled.fault();
  return client::flatten(message.getRoot<capnp::AnyPointer>().asReader());
}

const char* kindOf(const SchemaBook::Method& method) {
  return method.described->query ? "query" : "command";
}

void printMethods(const SchemaBook& book, bool json) {
  if (json) {
    Json out = {{"plugin", book.description().plugin},
                {"version", book.description().version},
                {"methods", Json::array()}};
    for (const SchemaBook::Method& method : book.methods()) {
      out["methods"].push_back({{"name", method.described->name},
                                {"kind", kindOf(method)},
                                {"params", fieldList(method.params)},
                                {"results", fieldList(method.results)}});
    }
    return printJson(out);
  }
  Table table({"METHOD", "KIND", "PARAMETERS", "RESULTS"});
  for (const SchemaBook::Method& method : book.methods()) {
    table.add({method.described->name, kindOf(method), fieldList(method.params),
               fieldList(method.results)});
  }
  table.print();
}

Exit runLines(Cluster& cluster, client::GroupClient& group, CallForm form) {
  CallLines lines(cluster.io(), group, form);
  cluster.wait(lines.run());
  return lines.worst();
}

Exit runOne(Cluster& cluster, client::GroupClient& group, const CallForm& form,
            kj::ArrayPtr<const capnp::word> words, const Speaker& speaker) {
  client::Outcome outcome = cluster.wait(form.call(group, words));
  if (!outcome.ok()) {
    Fault fault = *outcome.fault;
    return speaker.fault(fault);
  }
  std::string line = form.answerLine(std::move(outcome)) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  return Exit::done;
}

// A group may be asked for by its id; everything but operators' requests knows it by its name.
std::string nameOfGroup(Cluster& cluster, const std::string& group) {
  if (group.rfind("id:", 0) != 0) return group;
  return cluster.wait(cluster.admin().showGroup(group)).getGroup().getName().cStr();
}

Exit runCall(Cluster& cluster, const Options& options, const Calling& calling,
             const Speaker& speaker) {
  auto group = cluster.client().group(nameOfGroup(cluster, calling.group));
  auto description = cluster.wait(group->describe());
  Result<std::unique_ptr<SchemaBook>> book = SchemaBook::open(*description);
  if (!book) return speaker.fault(book.fault());
  if (calling.method.empty()) {
    printMethods(**book, options.json);
    return Exit::done;
  }
  Result<SchemaBook::Method> method = (*book)->method(calling.method);
  if (!method) return speaker.fault(method.fault());

  CallForm form{*method, {}, calling.data == "base64" ? DataForm::base64 : DataForm::text};
  if (calling.stale->count() != 0) {
    if (!method->described->query) {
      return speaker.usage("--stale-ms: " + calling.method +
                           " is a command; only queries may be stale");
    }
    form.freshness = client::Freshness::stale(calling.staleMs);
  }
  if (calling.lines) return runLines(cluster, *group, form);
  Result<kj::Array<capnp::word>> words = paramsFrom(form, calling.words);
  if (!words) return speaker.usage(words.fault().text);
  return runOne(cluster, *group, form, *words, speaker);
}

Exit run(const Options& options, const std::string& command, const Calling& calling) {
  Speaker speaker(options.json, command);
  if (Result<void> good = checkGroupName(calling.group, true); !good) {
    return speaker.usage(good.fault().text);
  }
  if (calling.lines && calling.method.empty()) {
    return speaker.usage("--lines: name the method that each line calls");
  }
  if (calling.lines && !calling.words.empty()) {
    return speaker.usage("--lines: takes parameters from standard input alone; leave out \"" +
                         calling.words[0] + "\"");
  }
  // One call alone that breaks off is told as unknown; a session for it would cost more than it.
  return withCluster(options, {command, kAskMs, calling.lines},
                     [&](Cluster& cluster) { return runCall(cluster, options, calling, speaker); });
}

}  // namespace

void addCallCommand(CLI::App& root, Chosen& chosen) {
  auto calling = std::make_shared<Calling>();
  CLI::App* app =
      addCommand(root, "call",
                 "Calls a method of a group. Without METHOD: lists its methods with their kinds.");
  app->add_option("GROUP", calling->group, "the group's name, or id:7")->required()->type_name("");
  app->add_option("METHOD", calling->method, "a method of its plugin")->type_name("");
  app->add_option("PARAMETERS", calling->words,
                  "field=value …, field=@FILE, one JSON object, or - for one on standard input")
      ->type_name("");
  app->add_flag("--lines", calling->lines,
                "one JSON object a line in, one answer or {\"error\":…} a line out, in the order "
                "asked, many under way");
  calling->stale = app->add_option("--stale-ms", calling->staleMs,
                                   "let any replica answer that has heard of its leader this "
                                   "recently; 0: however long ago")
                       ->type_name("N");
  app->add_option("--data", calling->data,
                  "how Data is printed: text (base64 where it is none) or base64")
      ->type_name("text|base64")
      ->check(CLI::IsMember({"text", "base64"}).description(""));
  app->callback([&chosen, calling, name = fullName(*app)]() {
    chosen.run = [calling, name](const Options& options) { return run(options, name, *calling); };
  });
}

}  // namespace flotilla::admin
