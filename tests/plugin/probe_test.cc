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
const std::string kDebugger =
    "; gdb -ex 'set follow-fork-mode child' -ex run --args flotilla-plugin-check FILE shows where";

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

TEST_CASE("plugin/probe: settings that are given must be taken as they are") {
  auto refusalOf = [](const std::string& file, const plugin::Settings& settings) {
    auto facts = plugin::probe(checker(), file, kProbeMs, {settings, {}});
    if (facts) return "taken as " + facts->name;
    CHECK(facts.fault().code == ErrorCode::badRequest);
    return facts.fault().text.substr(("plugin " + file + ": ").size());
  };
  const std::string ledger = badFile("ledger");
  CHECK(refusalOf(ledger, {}) == "taken as ledger");
  CHECK(refusalOf(ledger, {{"keysMax", "7"}, {"strays", "a=b c"}}) == "taken as ledger");
  CHECK(refusalOf(ledger, {{"keysMax", "many"}}) ==
        "machine ledger 1.0.0: cannot be made: badConfig: config keysMax \"many\": needs a whole "
        "number from 0 to 4294967295");
  CHECK(refusalOf(ledger, {{"keysMin", "1"}}) ==
        "machine ledger 1.0.0: cannot be made: badConfig: config keysMin: no such key; this plugin "
        "knows keysMax, strays");
  CHECK(refusalOf(test::pluginFile("kv"), {{"sped", "9"}}) ==
        "machine kv 1.0.0: cannot be made: badConfig: config sped: no such key; this plugin knows "
        "none");
  CHECK(refusalOf(ledger, {{"a=b", "c"}}) ==
        "config a=b: a key holds no '=', and neither it nor its value a NUL; leave it out");
  CHECK(refusalOf(ledger, {{"strays", std::string("a\0b", 3)}}) ==
        "config strays: a key holds no '=', and neither it nor its value a NUL; leave it out");
}

TEST_CASE("plugin/probe: a version that follows another must load what that has saved") {
  test::Scratch scratch;
  auto first = plugin::Library::open(badFile("ledger"));
  REQUIRE(first.ok());
  auto machine = plugin::makeMachine(first->descriptor(), {}, nullptr, {});
  REQUIRE(machine.ok());
  auto capture = (*machine)->capture();
  REQUIRE(capture.ok());
  struct File final : group::SnapshotSink {
    std::ofstream out;
    Result<void> write(std::string_view piece) override {
      out << piece;
      return {};
    }
  } file;
  file.out.open(scratch.file("state"), std::ios::binary);
  REQUIRE((*capture)->save(file).ok());
  file.out.close();
  auto refusalOf = [&](const std::string& name) {
    plugin::Trial trial{plugin::Settings{}, scratch.file("state")};
    auto facts = plugin::probe(checker(), badFile(name), kProbeMs, trial);
    if (facts) return "taken as " + facts->version;
    return facts.fault().text.substr(("plugin " + badFile(name) + ": ").size());
  };
  CHECK(refusalOf("ledger_moves") == "taken as 1.1.0");
  CHECK(refusalOf("ledger_cannot") ==
        "machine ledger 1.2.0: load: cannot: this version migrates nothing");
  CHECK(refusalOf("ledger_crashes")
            .find("crashed while its machine loaded what the one before has saved (SIGABRT)") == 0);
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
        "built for ABI 2.3, this host has ABI 1.3; build it against this host's sdk/");
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
  CHECK(refusal(badFile("bad_other_params")) ==
        "handler put takes other parameters than method put");
}

TEST_CASE("plugin/probe: a machine that sets timers and cannot be woken is refused") {
  for (const char* name : {"bad_no_wake", "bad_other_wake"}) {
    CHECK(refusal(badFile(name)) ==
          "calls entry.wakeAt, and its machine has no public void wake(const flotilla::Entry&, "
          "uint64_t token) to be called then");
  }
}

TEST_CASE("plugin/probe: a descriptor with one wrong member is refused for that member") {
  struct Case {
    std::string name;
    std::string text;
  };
  for (const Case& one : {
           Case{"minor",
                "built for ABI 1.99, this host has ABI 1.3; build it against this host's sdk/"},
           Case{"size", "its descriptor has 16 bytes, ABI 1.0 has "},
           Case{"null", "flotilla_plugin gave null; it must give its descriptor"},
           Case{"name", "its name is \"Bad Name\"; needs [a-z0-9][a-z0-9._-]{0,62}"},
           Case{"version", "its version is \"one two\"; needs something like 1.0.0"},
           Case{"no_apply", "lacks create, destroy, apply or query; a machine needs all four"},
           Case{"no_snapshot",
                "cannot snapshot its machine; it needs capture, save, release and load"},
           Case{"no_digest",
                "says it has a digest and has none; give it one, or leave FLOTILLA_DIGEST out"},
           Case{"on_disk",
                "keeps its state on disk and lacks open or sync; give it both, or leave "
                "FLOTILLA_ON_DISK out"},
           Case{"disk_of_old",
                "keeps its state on disk and lacks open or sync; give it both, or leave "
                "FLOTILLA_ON_DISK out"},
           Case{"disk_freeze",
                "keeps its state on disk and has freeze, which only machines in memory can have; "
                "leave FLOTILLA_CONCURRENT_QUERIES and FLOTILLA_BESIDE out"},
           Case{"long_on_disk",
                "names kLongQueries and keeps its state on disk; only what Tables hold can be held "
                "still: leave kLongQueries out, and answer such a query in parts"},
           Case{"two_homes",
                "machine bad_two_homes 1.0.0: cannot be made: uncaptured: has a DiskTable and a "
                "Table, which would be written whole with every few of the other's changes; make "
                "all of them DiskTables"},
           Case{"no_methods", "has no method; a machine needs one"},
           Case{"many_methods",
                "has 5000 methods; at most 4096 can be served, so split the interface"},
           Case{"rows",
                "its method table's rows have 8 bytes, ABI 1.0 has 32; set each row's size"},
           Case{"two_handlers", "method get has two handlers; it needs one"},
           Case{"kind",
                "method get is neither command nor query; its row's kind is FLOTILLA_COMMAND "
                "or FLOTILLA_QUERY"},
           Case{"freeing_query",
                "method get is a query and says that it frees memory; commands alone do"},
           Case{"beside",
                "method get is to be asked beside, which needs freeze and "
                "FLOTILLA_CONCURRENT_QUERIES"},
           Case{"command_beside",
                "method put is a command and says that it may be asked beside; queries may"},
           Case{"no_freeze",
                "machine bad_no_freeze 1.0.0: freeze: gave no reason; every state must be one that "
                "can be asked of"},
           Case{"other_name",
                "method get @1 is handled by fetch; was it built from another schema?"},
           Case{"no_schema", "has no schema; clients cannot call it without"},
           Case{"half_schema", "its schema cannot be used: "},
           Case{"odd_schema", " bytes; needs whole words, at most 8388608"},
           Case{"no_root",
                "its schema does not hold its root interface; put the nodes of the "
                "interface and of all its types in"},
           Case{"root",
                "its root is put$Params, which is no interface; set interfaceId to the "
                "interface's"},
           Case{"digest",
                "a machine and its copy through a snapshot have other digests; "
                "does load restore all that save wrote?"},
           Case{"no_capture",
                "machine bad_no_capture 1.0.0: capture: gave no reason; every state "
                "must be one that can be captured"},
           Case{"no_save",
                "machine bad_no_save 1.0.0: load: snapshotDamaged: ends in the middle of "
                "a value; load must read what save wrote"},
           Case{"unresolved",
                "undefined symbol: nowhereToBeFound; link what it needs: "
                "flotilla_add_plugin(… LIBS …)"},
       }) {
    CAPTURE(one.name);
    std::string text = refusal(badFile("bad_" + one.name));
    CAPTURE(text);
    CHECK(text.find(one.text) != std::string::npos);
  }
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
  CHECK(refusal(badFile("bad_constructor_crash")) ==
        "crashed while it was loaded (SIGSEGV)" + kDebugger);
  CHECK(refusal(badFile("bad_machine_crash")) ==
        "crashed while its machine was made (SIGSEGV)" + kDebugger);
  CHECK(refusal(badFile("bad_create_throws")) ==
        "machine bad_create_throws 1.0.0: cannot be made: no machine today; settings that it "
        "refuses are a flotilla::Error");
  CHECK(refusal(badFile("bad_constructor_throws")) ==
        "crashed while it was loaded (SIGABRT)" + kDebugger);
  CHECK(refusal(badFile("bad_entry_throws")) ==
        "threw something while it was loaded; flotilla_plugin must not");
  CHECK(refusal(badFile("bad_load_exit")) ==
        "ended its process while it was loaded (exit code 0); a plugin never calls exit");
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
        "plugin " + badFile("bad_load_hang") +
            ": its check did not end within 1000 ms; nothing in it may wait while it is loaded");
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
            ": built for ABI 2.3, this host has ABI 1.3; build it against this host's sdk/");
}
