// Every wrong plugin, and the words it is refused with.
#include "host/plugin/probe.h"

#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "host/plugin/library.h"
#include "tests/plugin/built.h"

using namespace flotilla;
using flotilla::test::badFile;

namespace {

constexpr int kProbeMs = 40'000;

std::string checker() {
  return test::built("bin/flotilla-plugin-check");
}

// What is said of it, without the file's name.
std::string refusal(const std::string& file) {
  auto facts = plugin::probe(checker(), file, kProbeMs);
  if (facts) return "taken as " + facts->name;
  CHECK(facts.fault().code == ErrorCode::badRequest);
  std::string who = "plugin " + file + ": ";
  const std::string& text = facts.fault().text;
  return text.starts_with(who) ? text.substr(who.size()) : "UNNAMED " + text;
}

}  // namespace

TEST_CASE("plugin/probe: a good plugin's facts are known before it is loaded here") {
  auto facts = plugin::probe(checker(), test::pluginFile("kv"), kProbeMs);
  REQUIRE(facts.ok());
  CHECK(facts->name == "kv");
  CHECK(facts->version == "1.0.0");
  CHECK(facts->stateVersion == 1);
  REQUIRE(facts->methods.size() == 6);
  CHECK(facts->methods[1].name == "get");
  CHECK(facts->methods[1].query);
  CHECK(facts->methods[1].interfaceId == facts->interfaceId);
  CHECK_FALSE(facts->methods[0].query);
}

TEST_CASE("plugin/probe: what is no plugin is refused in plain words") {
  test::Scratch scratch;
  std::ofstream(scratch.file("text.so")) << "hello, this is text";
  std::ofstream(scratch.file("cut.so")) << "\x7f"
                                           "ELF and then nothing";
  CHECK(refusal(scratch.file("text.so")) ==
        "is no ELF file; give the shared object that flotilla_add_plugin builds");
  CHECK(refusal(scratch.file("cut.so")).find("file too short") != std::string::npos);
  CHECK(refusal(scratch.file("none.so")) == "cannot be read; is the path right?");
  CHECK(refusal(badFile("bad_no_symbol")) ==
        "exports no flotilla_plugin; does its source end with FLOTILLA_PLUGIN(...)?");
}

TEST_CASE("plugin/probe: another build's plugin is refused with both versions") {
  CHECK(refusal(badFile("bad_abi")) ==
        "built for ABI 2.0, this host has ABI 1.0; build it against this host's sdk/");
  CHECK(refusal(badFile("bad_magic")) ==
        "its descriptor is none of Flotilla's (wrong magic); build it with sdk/flotilla/abi.h");
  CHECK(refusal(badFile("bad_capnp")) ==
        "built with Cap'n Proto 1.0.1, this host has 0.9.2; build it with the same one");
  std::string compiler = refusal(badFile("bad_compiler"));
  CHECK(compiler.find("with _GLIBCXX_USE_CXX11_ABI=0, this host with 1; build it with the same "
                      "setting") != std::string::npos);
}

TEST_CASE("plugin/probe: methods and handlers must agree") {
  CHECK(refusal(badFile("bad_missing_handler")) ==
        "method get @1 has no handler; add it to the machine and to FLOTILLA_PLUGIN(...)");
  CHECK(refusal(badFile("bad_extra_handler")) ==
        "handler extra: interface Plain has no such method");
}

TEST_CASE("plugin/probe: methods that cannot be replicated are refused by name") {
  CHECK(refusal(badFile("bad_capability")) ==
        "method watch: parameter.options.sinks is a capability; only bytes are replicated, so pass "
        "a name or an id");
  CHECK(
      refusal(badFile("bad_any_pointer")) ==
      "method any: result.value is an AnyPointer; only types that the schema knows are replicated");
  CHECK(refusal(badFile("bad_stream")) ==
        "method feed: returns a stream; give it a result, clients batch by themselves");
  CHECK(refusal(badFile("bad_generic")) ==
        "method wrap: parameter.box is generic; a log entry needs a type of its own");
}

TEST_CASE("plugin/probe: constructors that crash, throw or leave kill only the child") {
  CHECK(refusal(badFile("bad_constructor_crash")) == "crashed while it was loaded (SIGSEGV)");
  CHECK(refusal(badFile("bad_machine_crash")) == "crashed while its machine was made (SIGSEGV)");
  CHECK(refusal(badFile("bad_create_throws")) ==
        "machine bad_create_throws 1.0.0: cannot be made: no machine today");
  CHECK(refusal(badFile("bad_load_exit")) == "ended its process while it was loaded (exit code 0)");
}

TEST_CASE("plugin/probe: a member that no snapshot would hold is refused") {
  CHECK(
      refusal(badFile("bad_plain_member")) ==
      "machine bad_plain_member 1.0.0: cannot be made: uncaptured: has 8 bytes of members that no "
      "snapshot would hold; make them flotilla::Table, Single or Fixed, or give it capture() and "
      "load()");
}

TEST_CASE("plugin/probe: a plugin that hangs while it is loaded is given up") {
  auto facts = plugin::probe(checker(), badFile("bad_load_hang"), 1000);
  REQUIRE_FALSE(facts.ok());
  CHECK(facts.fault().text ==
        "plugin " + badFile("bad_load_hang") + ": its check did not end within 1000 ms");
}

TEST_CASE("plugin/probe: a checker that is not there is said to be missing") {
  auto facts = plugin::probe("/no/such/checker", test::pluginFile("kv"), 1000);
  REQUIRE_FALSE(facts.ok());
  CHECK(facts.fault().text == "/no/such/checker: cannot be started: No such file or directory");
}

TEST_CASE("plugin/library: a refusal names the file also without a child") {
  auto library = plugin::Library::open(badFile("bad_abi"));
  REQUIRE_FALSE(library.ok());
  CHECK(library.fault().text ==
        "plugin " + badFile("bad_abi") +
            ": built for ABI 2.0, this host has ABI 1.0; build it against this host's sdk/");
}
