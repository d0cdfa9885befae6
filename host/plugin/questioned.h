// How a plugin's machine is asked, and one that is held still for that.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/bytes.h"
#include "host/group/ports.h"
#include "host/plugin/crash_mark.h"
#include "host/plugin/plugin.h"

namespace flotilla::plugin {

// Cap'n Proto reads whole words; a copy joins `aligned` where the bytes do not lie on one.
void writeCommand(const group::MachineCommand& from, uint32_t row, std::vector<Bytes>& aligned,
                  flotilla_command& to);

std::string noSuchMethod(const group::MachineCommand& command, std::string_view kind);

// One machine of a plugin, whoever may call it now, as queries see it.
struct Questioned {
  const Plugin& plugin;
  const void* machine;
  CrashMarks* marks;
  group::ReplicaKey replica;

  // `broke`: set where the boundary was broken, with what.
  Result<void> ask(const group::MachineCommand& question, group::Answers& answers,
                   std::string& broke) const;
};

// What freeze gave.
//
// Owner:  shared by the queries that are asked of it.
// Thread: any, several at a time.
// Errors: see FrozenMachine.
class FrozenPlugin final : public group::FrozenMachine {
public:
  FrozenPlugin(std::shared_ptr<const Plugin> plugin, void* machine, CrashMarks* marks,
               group::ReplicaKey replica)
      : plugin_(std::move(plugin)), machine_(machine), marks_(marks), replica_(replica) {}
  ~FrozenPlugin() override;
  FrozenPlugin(const FrozenPlugin&) = delete;
  FrozenPlugin& operator=(const FrozenPlugin&) = delete;

  Result<void> query(const group::MachineCommand& question, group::Answers& answers) const override;

private:
  std::shared_ptr<const Plugin> plugin_;
  void* machine_;
  CrashMarks* marks_;
  group::ReplicaKey replica_;
};

}  // namespace flotilla::plugin
