// host.toml: what is taken, and the words of each refusal.
#include "host/runtime/config.h"

#include <string>

#include <doctest/doctest.h>

namespace flotilla::runtime {
namespace {

const std::string kGood = R"([host]
id = 1
listen = "127.0.0.1:7400"
http = "127.0.0.1:7500"
data_dir = "host-1"
[cluster]
name = "demo"
founders = { 1 = "127.0.0.1:7400", 2 = "127.0.0.1:7401", 3 = "127.0.0.1:7402" }
)";

// kGood with `from` replaced by `to`.
std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string refusal(const std::string& text) {
  auto config = parseConfig(text, "/etc/host.toml");
  REQUIRE_FALSE(config.ok());
  return config.fault().text;
}

}  // namespace

TEST_CASE("runtime/config: the design's example is taken, with paths from the file's folder") {
  auto config = parseConfig(kGood, "/etc/flotilla/host.toml");
  REQUIRE(config.ok());
  CHECK(config->hostId == 1);
  CHECK(config->dataDir == "/etc/flotilla/host-1");
  CHECK(config->founders.size() == 3);
  CHECK(config->operatorTokenFile == "/etc/flotilla/host-1/operator.token");
  CHECK(config->peerTokenFile == defaultPeerToken("demo"));
  CHECK(config->volumes.size() == 1);
  CHECK(config->applyWorkers == 2);
}

TEST_CASE("runtime/config: an unknown key is refused with line, column and the known ones") {
  CHECK(refusal(with("id = 1", "id = 1\nlisen = \"x\"")) ==
        "config /etc/host.toml:3:1: host.lisen: unknown key; known here: data_dir, http, id, "
        "insecure, listen, log, log_level");
  // The misspelt key is told, not the one that is missed for it.
  CHECK(refusal(with("listen =", "lisen =")).find("host.lisen: unknown key") != std::string::npos);
  CHECK(refusal(kGood + "[colour]\nred = 1\n").find("colour: unknown key") != std::string::npos);
}

TEST_CASE(
    "runtime/config: characters beyond ASCII stand in comments and in strings, nowhere else") {
  auto config =
      parseConfig(with("\"host-1\"", "\"/srv/donn\u00e9es/\\\"\u65e5\U0001f600\" # \u00c7a va"),
                  "/etc/host.toml");
  REQUIRE_MESSAGE(config.ok(), (config ? "" : config.fault().text));
  CHECK(config->dataDir == "/srv/donn\u00e9es/\"\u65e5\U0001f600");
  const std::string kWhy =
      "a character that is not ASCII, or not UTF-8; it may stand in a comment, or in a string "
      "between double quotes";
  CHECK(refusal("tr\u00c7 = 1\n" + kGood) == "config /etc/host.toml:1:3: " + kWhy);
  CHECK(refusal(with("\"host-1\"", "'\u00e9'")) == "config /etc/host.toml:5:13: " + kWhy);
  CHECK(refusal(with("\"host-1\"", "\"\xff\"")) == "config /etc/host.toml:5:13: " + kWhy);
  CHECK(refusal(with("id = 1", "id = 1\n\u00a0")) == "config /etc/host.toml:3:1: " + kWhy);
}

TEST_CASE("runtime/config: an address without a port is refused") {
  CHECK(refusal(with("2 = \"127.0.0.1:7401\"", "2 = \"10.0.0.7\"")) ==
        "config /etc/host.toml:8:40: cluster.founders.2: \"10.0.0.7\": no port; write it as "
        "host:port");
  CHECK(refusal(with("listen = \"127.0.0.1:7400\"", "listen = \"127.0.0.1:99999\""))
            .find("port 99999; write one from 1 to 65535") != std::string::npos);
}

TEST_CASE("runtime/config: two hosts with one id are refused") {
  std::string text = refusal(with("2 = \"127.0.0.1:7401\"", "01 = \"127.0.0.1:7401\""));
  CHECK(text.find("two hosts with the id 1; give each its own") != std::string::npos);
  text = refusal(with("2 = \"127.0.0.1:7401\"", "1 = \"127.0.0.1:7401\""));
  CHECK(text.find("cannot redefine existing string '1'; write each key once, and give each host an "
                  "id of its own") != std::string::npos);
  text = refusal(with("2 = \"127.0.0.1:7401\"", "2 = \"127.0.0.1:7400\""));
  CHECK(text.find("is another founder's address too") != std::string::npos);
}

TEST_CASE("runtime/config: off loopback there is TLS, or the file says insecure") {
  std::string open = with("listen = \"127.0.0.1:7400\"", "listen = \"0.0.0.0:7400\"");
  CHECK(refusal(open).find("is not loopback and there is no [tls]") != std::string::npos);
  CHECK(refusal(with("http = \"127.0.0.1:7500\"", "http = \"0.0.0.0:7500\""))
            .find("is not loopback, and these pages have no TLS") != std::string::npos);
  std::size_t at = open.find("http =");
  CHECK(parseConfig(open.substr(0, at) + "insecure = true\n" + open.substr(at), "/etc/host.toml")
            .ok());
}

TEST_CASE(
    "runtime/config: a host that is no founder, a wrong type and a missing key say what to do") {
  CHECK(refusal(with("id = 1", "id = 9")).find("does not name this host, 9") != std::string::npos);
  CHECK(refusal(with("id = 1", "id = \"one\"")) ==
        "config /etc/host.toml:2:6: host.id: found text \"one\"; write a number from 1 to 1000000");
  CHECK(refusal(with("name = \"demo\"\n", "")).find("cluster.name: missing") != std::string::npos);
  CHECK(refusal("[host\n").find("config /etc/host.toml:1:") == 0);
}

TEST_CASE(
    "runtime/config: [[group]] tables name their plugin, and default_group names one of them") {
  CHECK(refusal(kGood + "[[group]]\nname = \"a\"\n").find("group.plugin: missing") !=
        std::string::npos);
  std::string text = with("name = \"demo\"", "name = \"demo\"\ndefault_group = \"main\"");
  CHECK(refusal(text).find("\"main\" has no [[group]] table") != std::string::npos);
  auto config = parseConfig(text +
                                "[[group]]\nname = \"main\"\nplugin = \"kv\"\non = [1, 2]\n"
                                "learners = [3]\noptions = { electionTimeoutMs = 300 }\n",
                            "/etc/host.toml");
  REQUIRE(config.ok());
  REQUIRE(config->groups.size() == 1);
  CHECK(config->groups[0].options.at("electionTimeoutMs") == "300");
  CHECK(config->groups[0].learners == std::vector<uint64_t>{3});
}

TEST_CASE("runtime/config: volumes have names and paths of their own") {
  auto config = parseConfig(kGood + "[storage]\nvolumes = { fast = \"ssd\" }\n", "/etc/host.toml");
  REQUIRE(config.ok());
  REQUIRE(config->volumes.size() == 2);
  CHECK(config->volumes[1].path == "/etc/ssd");
  CHECK(refusal(kGood + "[storage]\nvolumes = { default = \"ssd\" }\n").find("already") !=
        std::string::npos);
}

}  // namespace flotilla::runtime
