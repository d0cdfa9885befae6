// What twin processes find, each planted on purpose; and that they find nothing in what is sound.
#include "host/plugin/twins.h"

#include <fstream>
#include <vector>

#include <doctest/doctest.h>

#include "host/plugin/imports.h"
#include "tests/plugin/built.h"

using namespace flotilla;
using flotilla::test::badFile;

namespace {

Result<plugin::TwinFacts> twins(const std::string& file, uint64_t seed = 1) {
  plugin::TwinSetup setup;
  setup.program = test::built("bin/flotilla-plugin-check");
  setup.file = file;
  setup.seed = seed;
  setup.calls = 600;
  return plugin::compareTwins(setup);
}

// What is found, without the file's name.
std::string found(const std::string& name) {
  auto facts = twins(badFile(name));
  if (facts) return "nothing";
  std::string who = "plugin " + badFile(name) + ": ";
  const std::string& text = facts.fault().text;
  return text.starts_with(who) ? text.substr(who.size()) : "UNNAMED " + text;
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> importsOf(const std::string& file) {
  std::vector<std::string> names;
  auto imports = plugin::foreignImports(file);
  REQUIRE(imports.ok());
  for (const auto& one : *imports) names.push_back(one.symbol);
  return names;
}

}  // namespace

TEST_CASE("plugin/twins: sound plugins come to the same, whatever the seed") {
  for (uint64_t seed : {1, 2, 3}) {
    for (const std::string& file :
         {test::pluginFile("kv"), test::pluginFile("archive"), test::pluginFile("counter"),
          badFile("wavering_nothing"), badFile("alarms"), badFile("ledger_disk")}) {
      CAPTURE(file);
      auto facts = twins(file, seed);
      CHECK_MESSAGE(facts.ok(), (facts ? "" : facts.fault().text));
      if (!facts) continue;
      CHECK(facts->calls == 600);
      CHECK(facts->restores == 2);
      CHECK(facts->digests);
    }
  }
}

TEST_CASE("plugin/twins: clocks, random numbers, addresses and uninitialized memory are found") {
  std::vector<const char*> names{"wavering_clock", "wavering_random"};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // A sanitizer brings an allocator of its own, which the twins do not know how to shuffle.
  names.insert(names.end(), {"wavering_pointer_order", "wavering_uninitialized"});
#endif
  for (const char* name : names) {
    CAPTURE(name);
    std::string text = found(name);
    CAPTURE(text);
    CHECK(says(text, "call "));
    CHECK(says(text, "put(key = "));
    CHECK(says(text, "no clock, random numbers, addresses, uninitialized members or globals"));
  }
}

TEST_CASE("plugin/twins: what a snapshot does not hold is found after a restore") {
  std::string order = found("wavering_restore_order");
  CAPTURE(order);
  CHECK(says(order, "first(): one process answers (key = "));
  CHECK(says(order, ", which was restored from a snapshot before call "));
  std::string answered = found("wavering_answered_order");
  CAPTURE(answered);
  CHECK(says(answered, "put(key = "));
  CHECK(says(answered, ", which was restored from a snapshot before call "));
  std::string global = found("wavering_global");
  CAPTURE(global);
  CHECK(says(global, ", which was restored from a snapshot before call 201; does load give back"));
  CHECK(says(global, "is nothing kept in globals?"));
}

TEST_CASE("plugin/twins: timers fire in both, across restores, and what they do is compared") {
  std::string lost = found("wavering_timer");
  CAPTURE(lost);
  CHECK(says(lost, "the states after it are not"));
  CHECK(says(lost, ", which was restored from a snapshot before call 201; does load give back"));
  std::string fault = found("wavering_timer_fault");
  CAPTURE(fault);
  CHECK(says(fault, " timers: "));
  CHECK(says(fault, "wake("));
  CHECK(says(fault, "woken too early; what is the caller's doing is answered with"));
}

TEST_CASE("plugin/twins: a call that stops its machine is named") {
  std::string fault = found("wavering_fault");
  CAPTURE(fault);
  CHECK(says(fault, "put(key = "));
  CHECK(says(fault, "not thought of; what is the caller's doing is answered with flotilla::Error"));
  std::string crash = found("wavering_crash");
  CAPTURE(crash);
  CHECK(says(crash, "put(key = "));
  CHECK(says(crash, "crashed (SIGABRT); a command that does so faults every replica"));
}

TEST_CASE("plugin/imports: what a machine may not use is named with what to use instead") {
  using Names = std::vector<std::string>;
  CHECK(importsOf(test::pluginFile("kv")).empty());
  CHECK(importsOf(badFile("wavering_nothing")).empty());
  CHECK(importsOf(badFile("wavering_clock")) == Names{"_ZNSt6chrono3_V212steady_clock3nowEv"});
  Names random = importsOf(badFile("wavering_random"));
  CHECK_FALSE(random.empty());
  for (const std::string& name : random) CHECK(name.starts_with("_ZNSt13random_device"));
  auto clock = plugin::foreignImports(badFile("wavering_clock"));
  CHECK((*clock)[0].text ==
        "uses a clock (imports _ZNSt6chrono3_V212steady_clock3nowEv); "
        "entry.timeUs() is the same on every replica");
}

TEST_CASE("plugin/imports: a file that is no object, or a cut one, is refused") {
  test::Scratch scratch;
  std::ofstream(scratch.file("text.so")) << "hello, this is text";
  CHECK_FALSE(plugin::foreignImports(scratch.file("text.so")).ok());
  CHECK_FALSE(plugin::foreignImports(scratch.file("none.so")).ok());
  std::ifstream in(test::pluginFile("kv"), std::ios::binary);
  std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  for (size_t size : {size_t{4}, size_t{63}, size_t{64}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(scratch.file("cut.so"), std::ios::binary) << whole.substr(0, size);
    CAPTURE(size);
    CHECK_FALSE(plugin::foreignImports(scratch.file("cut.so")).ok());
  }
}
