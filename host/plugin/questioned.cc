// How a plugin's machine is asked, and one that is held still for that.
#include "host/plugin/questioned.h"

#include "host/base/log.h"
#include "host/plugin/guard.h"

namespace flotilla::plugin {

void writeCommand(const group::MachineCommand& from, uint32_t row, std::vector<Bytes>& aligned,
                  flotilla_command& to) {
  std::string_view params = from.params;
  if (reinterpret_cast<uintptr_t>(params.data()) % 8 != 0 && !params.empty()) {
    params = aligned.emplace_back(Bytes::copyOf(params)).view();
  }
  to = {};
  to.size = sizeof to;
  to.row = row;
  to.index = from.position.index;
  to.ordinal = from.position.ordinal;
  to.term = from.term;
  to.timeUs = from.timeUs;
  to.seed = from.seed;
  to.session = from.session;
  to.params = bytesOf(params);
  to.token = from.token;
}

std::string noSuchMethod(const group::MachineCommand& command, std::string_view kind) {
  return "has no " + std::string(kind) + " with method number " + std::to_string(command.method) +
         " in interface " + std::to_string(command.interfaceId);
}

Result<void> Questioned::ask(const group::MachineCommand& question, group::Answers& answers,
                             std::string& broke) const {
  const RowIndex::Row* row = plugin.rows.find(question.interfaceId, question.method);
  if (row == nullptr || !row->query) return plugin.fault(noSuchMethod(question, "query"));
  std::vector<Bytes> aligned;
  flotilla_command asked;
  writeCommand(question, row->row, aligned, asked);
  AnswerCheck check(answers, 0, 1, {});
  CrashMarks::Scope scope(marks, replica, true, question.position.index);
  int code = 1;
  std::string left =
      guarded([&] { code = plugin.descriptor->query(machine, &asked, check.callback()); });
  broke = left.empty() ? check.problem(code == 0 ? 1 : 0) : left;
  if (!broke.empty()) return plugin.fault(broke);
  if (code != 0) return plugin.fault(check.fault());
  return {};
}

FrozenPlugin::~FrozenPlugin() {
  std::string left = guarded([&] { plugin_->descriptor->destroy(machine_); });
  if (!left.empty()) base::logError(plugin_->name + ": while it was destroyed: " + left);
}

Result<void> FrozenPlugin::query(const group::MachineCommand& question,
                                 group::Answers& answers) const {
  std::string broke;
  return Questioned{*plugin_, machine_, marks_, replica_}.ask(question, answers, broke);
}

}  // namespace flotilla::plugin
