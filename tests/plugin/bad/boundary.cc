// Written against abi.h alone, and wrong in a way that the put's key chooses.
#include <cstdint>
#include <cstring>
#include <flotilla/describe.h>
#include <flotilla/views.h>
#include <stdexcept>

#include "bad.capnp.h"

namespace {

// Only for its description: schema and method table are right, the functions are not.
class Shape {
public:
  void put(const flotilla::Entry&, Plain::PutParams::Reader, Plain::PutResults::Builder) {}
  void get(const flotilla::View&, Plain::GetParams::Reader, Plain::GetResults::Builder) const {}
};

const uint64_t kEmptyResult = 0;

flotilla_bytes bytesOf(const char* text) {
  return {text, std::strlen(text)};
}

std::string keyOf(const flotilla_command& command) {
  kj::ArrayPtr<const capnp::word> segment(static_cast<const capnp::word*>(command.params.start),
                                          command.params.size / sizeof(capnp::word));
  capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1));
  return message.getRoot<Plain::PutParams>().getKey().cStr();
}

uint64_t apply(void*, const flotilla_command* commands, uint64_t count,
               const flotilla_answers* answers, flotilla_cursor*) {
  for (uint64_t place = 0; place < count; ++place) {
    std::string key = keyOf(commands[place]);
    flotilla_bytes result{&kEmptyResult, 8};
    if (key == "throw") throw std::runtime_error("through the wall");
    if (key == "throw int") throw 5;
    if (key == "skip") return count;
    if (key == "silent") return place;
    if (key == "twice") answers->result(answers->context, place, result);
    if (key == "far") answers->result(answers->context, 99, result);
    if (key == "short") result.size = 7;
    if (key == "timer") answers->wakeAt(answers->context, place, 5, 5);
    if (key == "far event") answers->emit(answers->context, 99, result, result);
    if (key == "long event") {
      static const std::string kLong(300, 't');
      int refused = answers->emit(answers->context, place, {kLong.data(), kLong.size()}, result);
      int nul = answers->emit(answers->context, place, {"a\0b", 3}, result);
      if (refused != 0 && nul != 0) answers->fault(answers->context, bytesOf("refused"));
      return place;
    }
    if (key == "far timer") answers->wakeAt(answers->context, 99, 5, 5);
    if (key == "fault") {
      answers->fault(answers->context, bytesOf("on\npurpose"));
      return place;
    }
    answers->result(answers->context, place, result);
  }
  return count;
}

}  // namespace

extern "C" const flotilla_descriptor* flotilla_plugin(void) {
  static flotilla_descriptor d = *flotilla::describe<Shape, Plain>(
      FLOTILLA_PLUGIN_NAME, "1.0.0",
      {flotilla::handler<&Shape::put>("put"), flotilla::handler<&Shape::get>("get")});
  d.apply = apply;
  return &d;
}
