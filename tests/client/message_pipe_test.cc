// Messages over a stream, however it is cut into reads, and those beside RPC's.
#include "sdk/client/message_pipe.h"

#include <cstring>
#include <string>
#include <vector>

#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <kj/debug.h>

#include "sdk/client/gathering_stream.h"
#include "tests/client/script_stream.h"

namespace flotilla::client {
namespace {

using capnp::rpc::Message;

// Returns of RPC, told apart by their answer id; some are of several segments, some are large.
void build(capnp::MessageBuilder& message, uint32_t id, size_t padding) {
  auto answer = message.initRoot<Message>().initReturn();
  answer.setAnswerId(id);
  if (padding > 0) answer.initException().setReason(std::string(padding, 'x').c_str());
}

std::string bytesOf(capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

std::string answerBytes(uint32_t id, size_t padding, uint32_t segmentWords = 1024) {
  capnp::MallocMessageBuilder message(segmentWords, capnp::AllocationStrategy::FIXED_SIZE);
  build(message, id, padding);
  return bytesOf(message);
}

std::string asideBytes(const char* text) {
  capnp::MallocMessageBuilder message;
  message.initRoot<Message>().initObsoleteSave().setAs<capnp::Text>(text);
  return bytesOf(message);
}

// What comes, in order: answer ids, what is said aside, and how it ended.
std::vector<std::string> readAll(test::ScriptStream& stream, bool takesAsides = true,
                                 capnp::ReaderOptions options = {}) {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  MessagePipe pipe(stream);
  std::vector<std::string> seen;
  if (takesAsides) {
    pipe.onAside([&](capnp::AnyPointer::Reader content) {
      std::string text = content.getAs<capnp::Text>().cStr();
      if (text == "break") KJ_FAIL_REQUIRE("broken aside");
      seen.push_back("aside " + text);
    });
  }
  auto failure = kj::runCatchingExceptions([&]() {
    while (true) {
      auto message = pipe.tryReadMessage(nullptr, options, nullptr).wait(scope);
      KJ_IF_MAYBE (found, message) {
        auto root = found->reader->getRoot<Message>();
        if (root.isReturn()) {
          size_t reason = root.getReturn().isException()
                              ? root.getReturn().getException().getReason().size()
                              : 0;
          seen.push_back(std::to_string(root.getReturn().getAnswerId()) + "+" +
                         std::to_string(reason));
        } else {
          seen.push_back("for RPC");
        }
      } else {
        seen.push_back("end");
        return;
      }
    }
  });
  KJ_IF_MAYBE (exception, failure) {
    bool gone = exception->getType() == kj::Exception::Type::DISCONNECTED;
    seen.push_back(std::string(gone ? "gone: " : "failed: ") + exception->getDescription().cStr());
  }
  return seen;
}

}  // namespace

TEST_CASE("client/message_pipe: messages come whole and in order however reads are cut") {
  std::string bytes = answerBytes(1, 0) + answerBytes(2, 300, 8) + asideBytes("a") +
                      answerBytes(3, 200'000) + asideBytes("b") + asideBytes("c") +
                      answerBytes(4, 70'000, 64) + answerBytes(5, 0);
  std::vector<std::string> wanted{"1+0",     "2+300",   "aside a", "3+200000", "aside b",
                                  "aside c", "4+70000", "5+0",     "end"};
  for (size_t step : {1UL, 3UL, 7UL, 8UL, 9UL, 100UL, 4'096UL, 65'535UL, 65'536UL, 1'000'000UL}) {
    CAPTURE(step);
    test::ScriptStream stream(bytes, step);
    CHECK(readAll(stream) == wanted);
  }
}

TEST_CASE(
    "client/message_pipe: asides that the buffer has no room for share one, and RPC's do not") {
  std::string longest(3'000'000, 'l');  // whose room is not kept
  std::string longer(200'000, 'a');
  std::string shorter(70'000, 'b');
  std::string bytes = asideBytes(longer.c_str()) + asideBytes(shorter.c_str()) +
                      answerBytes(1, 150'000) + asideBytes(longest.c_str()) +
                      asideBytes(shorter.c_str()) + answerBytes(2, 3) + asideBytes(longer.c_str());
  std::vector<std::string> wanted{"aside " + longer,  "aside " + shorter,
                                  "1+150000",         "aside " + longest,
                                  "aside " + shorter, "2+3",
                                  "aside " + longer,  "end"};
  for (size_t step : {4'096UL, 65'536UL, 10'000'000UL}) {
    CAPTURE(step);
    test::ScriptStream stream(bytes, step);
    CHECK((readAll(stream) == wanted));
  }
}

TEST_CASE("client/message_pipe: one read serves all messages that it brings") {
  std::string bytes;
  for (uint32_t i = 0; i < 100; ++i) bytes += answerBytes(i, 10);
  test::ScriptStream stream(bytes, kReadBufferBytes);
  CHECK(readAll(stream).size() == 101);
  CHECK(stream.reads == 2);  // the second finds the end
}

TEST_CASE("client/message_pipe: who takes nothing aside leaves it to RPC, which refuses it") {
  test::ScriptStream stream(asideBytes("a") + answerBytes(1, 0), 1000);
  CHECK(readAll(stream, false) == std::vector<std::string>{"for RPC", "1+0", "end"});
}

TEST_CASE("client/message_pipe: an aside that cannot be taken ends the reading") {
  test::ScriptStream stream(asideBytes("a") + asideBytes("break") + answerBytes(1, 0), 1000);
  auto seen = readAll(stream);
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].starts_with("failed: "));
  CHECK(seen[1].ends_with("broken aside"));
}

TEST_CASE("client/message_pipe: an end within a message is not an end") {
  std::string bytes = answerBytes(1, 0) + answerBytes(2, 100'000);
  size_t first = answerBytes(1, 0).size();
  for (size_t cut : {first + 1, first + 7, first + 8, first + 1'000, bytes.size() - 1}) {
    CAPTURE(cut);
    test::ScriptStream stream(bytes.substr(0, cut), 1000);
    auto seen = readAll(stream);
    REQUIRE(seen.size() == 2);
    CHECK(seen[1].starts_with("gone: "));
  }
}

TEST_CASE("client/message_pipe: sizes that are not to be taken are refused before there is room") {
  auto table = [](std::vector<uint32_t> words) {
    std::string bytes(4 * words.size(), '\0');
    std::memcpy(bytes.data(), words.data(), bytes.size());
    return bytes;
  };
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 1000;
  for (const std::string& bytes :
       {table({0, 1001}), table({1, 500, 501, 0}), table({0, 0xffffffff}), table({511, 0}),
        table({0xffffffff, 0}), table({1, 0xffffffff, 0xffffffff, 0})}) {
    test::ScriptStream stream(bytes, 1000);
    auto seen = readAll(stream, true, options);
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].starts_with("failed: "));
  }
  test::ScriptStream fits(table({0, 1000}) + std::string(8'000, '\0'), 1000);
  CHECK(readAll(fits, true, options).size() == 2);
}

TEST_CASE("client/message_pipe: what is written is what capnp writes") {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  test::ScriptStream stream("", 1);
  MessagePipe pipe(stream);
  std::string wanted;
  for (uint32_t segmentWords : {8U, 16U, 1'024U}) {
    capnp::MallocMessageBuilder message(segmentWords, capnp::AllocationStrategy::FIXED_SIZE);
    build(message, segmentWords, 500);
    wanted += bytesOf(message);
    pipe.writeMessage(nullptr, message.getSegmentsForOutput()).wait(scope);
  }
  capnp::MallocMessageBuilder first;
  capnp::MallocMessageBuilder second;
  build(first, 1, 10);
  build(second, 2, 20);
  kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> both[] = {first.getSegmentsForOutput(),
                                                                second.getSegmentsForOutput()};
  pipe.writeMessages(both).wait(scope);
  wanted += bytesOf(first) + bytesOf(second);
  capnp::MallocMessageBuilder aside;
  aside.initRoot<Message>().initObsoleteSave().setAs<capnp::Text>("a");
  pipe.sendAside(aside);
  CHECK(stream.written == wanted + asideBytes("a"));
  pipe.end().wait(scope);
  CHECK(stream.ended);
}

}  // namespace flotilla::client
