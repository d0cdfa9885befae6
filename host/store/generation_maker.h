// Makes a volume's next generation, and destroys old ones, beside the writing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "flotilla/result.h"
#include "host/store/generation.h"

namespace flotilla::store {

// A new LevelDB costs a dozen syncs and often a file of zeros, an old one its memory and its files:
// each some ten milliseconds, for which nobody who waits for a frame has to stand still.
//
// Owner:  FrameRow; what its generations use (Envs) outlives it.
// Thread: its owner's; the work is done on one of its own.
// Errors: take() answers what making came to. What could not be destroyed is told once, by
//         trouble(); its files are swept at the next open.
class GenerationMaker {
public:
  GenerationMaker() = default;
  ~GenerationMaker();  // ends what is under way; what was made and not taken is closed
  GenerationMaker(const GenerationMaker&) = delete;
  GenerationMaker& operator=(const GenerationMaker&) = delete;

  // Not while another is begun and not taken.
  void begin(const Generation::Options& options);
  std::optional<uint64_t> begun() const { return begun_; }  // its number
  // Waits for the one that was begun.
  Result<std::unique_ptr<Generation>> take();

  // Its journals stay as spares where `journalBytes` is not 0, and they are so long: never those of
  // a number that may be made again.
  void destroy(std::unique_ptr<Generation> generation, std::string path, uint64_t journalBytes);
  std::optional<Fault> trouble();
  void removeSpares(std::string path);

private:
  void post(std::function<void()> job, bool first);  // what is waited for goes first
  void run();
  bool pause();  // between the pieces that a large file is freed in; false: all the rest at once

  std::optional<uint64_t> begun_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::optional<Result<std::unique_ptr<Generation>>> made_;
  std::optional<Fault> trouble_;
  bool stopping_ = false;
  bool wanted_ = false;  // somebody waits for what is made
  std::thread thread_;   // begun with the first job
};

}  // namespace flotilla::store
