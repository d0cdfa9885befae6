// A machine for tests: a map from text to text.
#include "tests/group/map_machine.h"

#include "host/base/checksum.h"

namespace flotilla::test {
namespace {

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return std::string(text);
}

// "count\nkey=value\n…"
class MapCapture final : public group::Capture {
public:
  explicit MapCapture(std::string text) : text_(std::move(text)) {}
  Result<void> save(group::SnapshotSink& sink) const override { return sink.write(text_); }

private:
  std::string text_;
};

Result<void> ask(const std::map<std::string, std::string>& values,
                 const group::MachineCommand& question, group::Answers& answers) {
  if (question.method == 7 || question.method == 12) {
    return Fault{ErrorCode::faulted, "broke on a query", {}};
  }
  auto found = values.find(trimmed(question.params));
  if (found == values.end()) {
    answers.error(0, "notFound", "no such key");
  } else {
    answers.result(0, found->second);
  }
  return {};
}

class FrozenMap final : public group::FrozenMachine {
public:
  explicit FrozenMap(std::map<std::string, std::string> values) : values_(std::move(values)) {}
  Result<void> query(const group::MachineCommand& question,
                     group::Answers& answers) const override {
    return ask(values_, question, answers);
  }

private:
  std::map<std::string, std::string> values_;
};

}  // namespace

MapMachine::ApplyEnd MapMachine::apply(const group::MachineCommand* all, size_t count,
                                       group::Answers& answers) {
  ++runs;
  for (size_t i = 0; i < count; ++i) {
    const group::MachineCommand& it = all[i];
    if (it.wakes) {
      if (it.token == 666) return {i, Fault{ErrorCode::faulted, "broke when it was woken", {}}};
      wake(it, i, answers);
      ++commands;
      continue;
    }
    std::string params = trimmed(it.params);
    switch (it.method) {
      case 8:
        if (kindOf(it.interfaceId, it.method) != MethodKind::command) {
          return {i, Fault{ErrorCode::faulted, "no such method", {}}};
        }
        [[fallthrough]];
      case 0: {
        size_t equals = params.find('=');
        values[params.substr(0, equals)] = params.substr(equals + 1);
        answers.result(i, std::to_string(commands) + accent);
        break;
      }
      case 2:
        answers.error(i, "refused", "the author said no to " + params);
        break;
      case 3:
        return {i, Fault{ErrorCode::faulted, "broke on " + params, {}}};
      case 4:
        answers.result(i, std::to_string(it.timeUs) + " " + std::to_string(it.seed) + " " +
                              std::to_string(it.session));
        break;
      case 5:
      case 6: {
        size_t space = params.find(' ');
        bool taken = answers.wakeAt(i, std::stoll(params), std::stoull(params.substr(space + 1)));
        if (it.method == 6 || !taken) {
          answers.error(i, taken ? "refused" : "full", "no timer");
        } else {
          answers.result(i, "set");
        }
        break;
      }
      case 9:
      case 10: {
        size_t space = params.find(' ');
        bool taken = answers.emit(i, params.substr(0, space), params.substr(space + 1)) &&
                     answers.emit(i, params.substr(0, space), "again");
        if (it.method == 10 || !taken) {
          answers.error(i, taken ? "refused" : "full", "told nothing");
        } else {
          answers.result(i, "told");
        }
        break;
      }
      default:
        return {i, Fault{ErrorCode::faulted, "no such method", {}}};
    }
    ++commands;
  }
  return {count, {}};
}

void MapMachine::wake(const group::MachineCommand& timer, size_t place, group::Answers& answers) {
  if (timer.token == 777) {
    answers.wakeAt(place, timer.timeUs, 1);
    return answers.error(place, "refused", "the author said no to a timer");
  }
  if (timer.token >= 1000) answers.wakeAt(place, timer.timeUs + 1000, timer.token - 1000);
  values["woken"] += std::to_string(timer.token) + "@" + std::to_string(timer.timeUs) + " ";
  answers.result(place, "");
}

Result<void> MapMachine::query(const group::MachineCommand& question, group::Answers& answers) {
  return ask(values, question, answers);
}

Result<std::shared_ptr<const group::FrozenMachine>> MapMachine::freeze() {
  ++freezes;
  return std::shared_ptr<const group::FrozenMachine>(std::make_shared<FrozenMap>(values));
}

std::string MapMachine::text() const {
  std::string text = std::to_string(commands) + "\n";
  for (const auto& [key, value] : values) text += key + "=" + value + "\n";
  return text;
}

std::optional<uint64_t> MapMachine::digest() {
  return base::checksum(text());
}

Result<std::unique_ptr<group::Capture>> MapMachine::capture() {
  return std::unique_ptr<group::Capture>(std::make_unique<MapCapture>(text()));
}

Result<void> MapMachine::load(group::SnapshotSource& source) {
  if (!version.empty() && version.front() == kUnwilling) {
    return Fault{ErrorCode::faulted, "this version loads nothing", {}};
  }
  std::string text;
  char piece[7];
  while (true) {
    auto got = source.read(piece, sizeof piece);
    if (!got) return got.fault();
    if (*got == 0) break;
    text.append(piece, *got);
  }
  size_t at = text.find('\n');
  commands = std::stoull(text.substr(0, at));
  for (++at; at < text.size();) {
    size_t end = text.find('\n', at);
    size_t equals = text.find('=', at);
    values[text.substr(at, equals - at)] = text.substr(equals + 1, end - equals - 1);
    at = end + 1;
  }
  return {};
}

std::optional<group::Machine::MethodKind> MapMachine::kindOf(uint64_t interfaceId,
                                                             uint16_t method) const {
  bool newcomer = !version.empty() && version.front() == kNewcomer;
  bool asked = method == 1 || method == 7 || method == 11 || method == 12;
  if (interfaceId == kMapInterface && asked) return MethodKind::query;
  if (interfaceId != kMapInterface || method > 10 || (method == 8 && !newcomer)) return {};
  return MethodKind::command;
}

group::Call mapCall(uint16_t method, const std::string& params, group::Stamp stamp) {
  return {stamp, kMapInterface, method, Bytes::copyOf(params)};
}

std::string textOf(const group::Outcome& outcome) {
  return trimmed(outcome.body.view());
}

}  // namespace flotilla::test
