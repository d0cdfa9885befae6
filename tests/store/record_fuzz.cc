// Fuzz target: what a log volume reads of its disk: frames, their lines and runs, states, the list
// of generations.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/store/frame.h"
#include "host/store/generation_list.h"
#include "host/store/state_record.h"

using namespace flotilla;

namespace {

// Every entry that a line promises; those that are given lie within the body.
void walk(const store::Record& line, std::string_view body) {
  constexpr uint32_t kLooks = 64;
  store::RunView run(line, body);
  if (!run.good()) return;
  for (uint32_t place = 0; place < kLooks && place < line.count; ++place) {
    auto entry = run.entry(place);
    if (!entry) continue;
    bool within = entry->payload.empty() ||
                  (entry->payload.data() >= body.data() &&
                   entry->payload.data() + entry->payload.size() <= body.data() + body.size());
    if (!within) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view all(reinterpret_cast<const char*>(bytes), size);
  if (auto frame =
          store::FrameView::parse(all.substr(0, 8), all.substr(std::min<size_t>(8, size)))) {
    for (const store::Record& line : frame->records()) {
      if (frame->intact(line) && line.hasEntries()) walk(line, frame->body(line));
    }
  }
  for (uint32_t place = 0; place < 4; ++place) {
    auto line = store::FrameView::lineAt(all, place);
    if (!line || line->offset > size || line->length > size - line->offset) continue;
    walk(*line, all.substr(line->offset, line->length));
  }
  auto bounds = store::boundsOf(all);
  auto state = store::decodeState(all);
  if (state && !bounds) std::abort();  // what recovery takes, the index must have taken
  if (auto list = store::GenerationList::parse("fuzz", std::string(all))) {
    if (!store::GenerationList::parse("fuzz", list->text())) std::abort();
  }
  return 0;
}
