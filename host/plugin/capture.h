// What a plugin's machine gave to be saved.
#pragma once

#include <memory>

#include "host/group/ports.h"
#include "host/plugin/crash_mark.h"
#include "host/plugin/plugin.h"

namespace flotilla::plugin {

// Owner:  whoever saves it.
// Thread: any one, beside later applies.
// Errors: the sink's; what the plugin does wrong is a Fault of its machine's name.
class PluginCapture final : public group::Capture {
public:
  PluginCapture(std::shared_ptr<const Plugin> plugin, void* capture, CrashMarks* marks,
                group::ReplicaKey replica)
      : plugin_(std::move(plugin)), capture_(capture), marks_(marks), replica_(replica) {}
  ~PluginCapture() override;
  PluginCapture(const PluginCapture&) = delete;
  PluginCapture& operator=(const PluginCapture&) = delete;

  Result<void> save(group::SnapshotSink& sink) const override;

private:
  std::shared_ptr<const Plugin> plugin_;
  void* capture_;
  CrashMarks* marks_;
  group::ReplicaKey replica_;
};

}  // namespace flotilla::plugin
