// What a plugin's machine gave to be saved.
#include "host/plugin/capture.h"

#include <optional>
#include <string>

#include "host/plugin/guard.h"

namespace flotilla::plugin {

PluginCapture::~PluginCapture() {
  guarded([&] { plugin_->descriptor->release(capture_); });
}

Result<void> PluginCapture::save(group::SnapshotSink& sink) const {
  struct Writing {
    group::SnapshotSink& sink;
    std::optional<Fault> fault;
  } writing{sink, std::nullopt};
  flotilla_writer writer{sizeof writer, &writing, [](void* context, flotilla_bytes piece) noexcept {
                           auto& to = *static_cast<Writing*>(context);
                           if (to.fault) return 1;
                           Result<void> written = to.sink.write(viewOf(piece));
                           if (!written) to.fault = written.fault();
                           return written ? 0 : 1;
                         }};
  Reason reason;
  CrashMarks::Scope scope(marks_, replica_, false, 0);
  int code = 1;
  std::string left =
      guarded([&] { code = plugin_->descriptor->save(capture_, &writer, reason.callback()); });
  if (writing.fault) return *writing.fault;
  if (!left.empty()) return plugin_->fault(left);
  if (code != 0) return plugin_->fault("save: " + reason.text());
  return {};
}

}  // namespace flotilla::plugin
