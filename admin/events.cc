// flotilla events: what a group's machine tells, as it tells it.
#include <charconv>
#include <cstdio>
#include <memory>

#include <capnp/message.h>

#include "admin/cluster.h"
#include "admin/json_value.h"
#include "admin/nouns.h"
#include "sdk/client/listener.h"

namespace flotilla::admin {
namespace {

struct Listening {
  std::string group;
  std::string topic;
  std::string after;
  bool follow = false;
};

// INDEX or INDEX/ORDINAL.
Result<client::Position> positionFrom(const std::string& text) {
  client::Position position;
  if (text.empty()) return position;
  const char* end = text.data() + text.size();
  auto read = std::from_chars(text.data(), end, position.index);
  if (read.ec == std::errc() && read.ptr != end && *read.ptr == '/') {
    read = std::from_chars(read.ptr + 1, end, position.ordinal);
  }
  if (read.ec == std::errc() && read.ptr == end) return position;
  return Fault{ErrorCode::badRequest,
               "--after \"" + text + "\": no position; write it as INDEX or INDEX/ORDINAL", ""};
}

// As the schema names it, so that a message is printed as every Data is.
void print(const client::Event& event, bool json) {
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<schema::Event>();
  to.getPosition().setIndex(event.position.index);
  to.getPosition().setOrdinal(event.position.ordinal);
  to.setTopic(event.topic);
  to.setMessage(
      kj::arrayPtr(reinterpret_cast<const kj::byte*>(event.message.data()), event.message.size()));
  Json line = toJson(capnp::DynamicStruct::Reader(to.asReader()), DataForm::text);
  auto dumped = [](const Json& it) {
    return it.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  if (json) {
    std::printf("%s\n", dumped(line).c_str());
  } else {
    std::printf("%llu/%u %s %s\n", static_cast<unsigned long long>(event.position.index),
                event.position.ordinal, event.topic.c_str(), dumped(line["message"]).c_str());
  }
}

Exit run(const Options& options, const std::string& command, const Listening& listening) {
  Result<client::Position> after = positionFrom(listening.after);
  if (!after) return Speaker(options.json, command).usage(after.fault().text);
  return withCluster(options, {command, kAskMs}, [&](Cluster& cluster) {
    auto end = kj::newPromiseAndFulfiller<void>();
    auto listen = [&](client::Events&& events) -> kj::Promise<void> {
      if (events.compacted && options.json) {
        std::printf("{\"compacted\":true}\n");
      } else if (events.compacted) {
        std::fprintf(stderr, "%s: some events before these are gone; the group keeps the newest\n",
                     command.c_str());
      }
      for (const client::Event& event : events.events) print(event, options.json);
      std::fflush(stdout);
      if (!listening.follow && !events.more) end.fulfiller->fulfill();
      return kj::READY_NOW;
    };
    auto listener =
        cluster.client().group(listening.group)->subscribe(listening.topic, *after, kj::mv(listen));
    auto done = end.promise.exclusiveJoin(listener->ended());
    if (!listening.follow) {
      uint64_t limitMs = options.timeoutMs == 0 ? kAskMs : options.timeoutMs;
      Fault silent{
          ErrorCode::unavailable,
          "group " + listening.group + ": no answer within " + std::to_string(limitMs) + " ms", ""};
      done = done.exclusiveJoin(
          cluster.io().provider->getTimer().afterDelay(limitMs * kj::MILLISECONDS).then([silent]() {
            kj::throwFatalException(client::exceptionOf(silent));
          }));
    }
    cluster.wait(kj::mv(done));
    return Exit::done;
  });
}

}  // namespace

void addEventsCommand(CLI::App& root, Chosen& chosen) {
  auto listening = std::make_shared<Listening>();
  CLI::App* events =
      addCommand(root, "events",
                 "Prints what a group's machine tells those who listen, as far back as the "
                 "group keeps it. A line an event: position, topic, message; with --json an "
                 "object, and {\"compacted\":true} where some are gone.");
  events->add_option("GROUP", listening->group, "the group's name, or id:7")
      ->required()
      ->type_name("");
  events->add_option("--topic", listening->topic, "only those whose topic begins so")
      ->type_name("PREFIX");
  events->add_option("--after", listening->after, "only those after this position")
      ->type_name("INDEX[/ORDINAL]");
  events->add_flag("--follow", listening->follow, "go on with those that come, until stopped");
  events->callback([&chosen, listening, name = fullName(*events)]() {
    chosen.run = [listening, name](const Options& options) {
      return run(options, name, *listening);
    };
  });
}

}  // namespace flotilla::admin
