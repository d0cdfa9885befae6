// Interfaces that inherit, and options that come as a struct of the schema.
#include <doctest/doctest.h>

#include "flotilla/harness.h"
#include "flotilla/plugin.h"
#include "limits.capnp.h"

using flotilla::testing::Harness;

namespace {

class LimitsMachine {
public:
  using Options = LimitsOptions;
  explicit LimitsMachine(Options::Reader options)
      : maxKeys_(options.getMaxKeys()),
        label_(std::string(options.getLabel().cStr()) + (options.getStrict() ? " strict" : "") +
               (options.getColour() == Colour::GREEN ? " green" : " red") + " " +
               std::to_string(options.getRatio())) {}

  void put(const flotilla::Entry&, Limits::PutParams::Reader in, Limits::PutResults::Builder out) {
    if (keys_.size() >= *maxKeys_) throw flotilla::Error("full", "as many keys as it may have");
    keys_.set(flotilla::bytes(in.getKey()), 1);
    out.setLabel(*label_);
  }
  void size(const flotilla::View&, Readable::SizeParams::Reader,
            Readable::SizeResults::Builder out) const {
    out.setEntries(keys_.size());
  }

private:
  flotilla::Fixed<size_t> maxKeys_;
  flotilla::Fixed<std::string> label_;
  flotilla::Table<std::string, uint8_t> keys_;
};

using Machine = Harness<LimitsMachine>;

Machine::Settings settings(const std::string& key, const std::string& value) {
  return {{key, value}};
}

// What a harness with these settings throws.
std::string refusal(const std::string& key, const std::string& value) {
  try {
    Machine machine({FLOTILLA_HANDLERS(LimitsMachine, put, size)}, settings(key, value));
    return "taken";
  } catch (const flotilla::Error& error) {
    return error.code() + ": " + error.what();
  }
}

std::string labelWith(const Machine::Settings& given) {
  Machine machine({FLOTILLA_HANDLERS(LimitsMachine, put, size)}, given);
  return machine.call<&LimitsMachine::put>([](auto in) { in.setKey("a"); })
      .result()
      .getLabel()
      .cStr();
}

}  // namespace

TEST_CASE("sdk/options: what is given fills the struct, the rest is the schema's default") {
  CHECK(labelWith({}) == "none red 0.500000");
  CHECK(
      labelWith({{"label", "mine"}, {"strict", "true"}, {"colour", "green"}, {"ratio", "2.25"}}) ==
      "mine strict green 2.250000");
  Machine machine({FLOTILLA_HANDLERS(LimitsMachine, put, size)}, settings("maxKeys", "1"));
  auto put = [&](const char* key) {
    return machine.call<&LimitsMachine::put>([&](auto in) { in.setKey(key); }).code();
  };
  CHECK(put("a").empty());
  CHECK(put("b") == "full");
  machine.restart();
  CHECK(put("c") == "full");
}

TEST_CASE("sdk/options: what does not fit is refused with key, value and what is needed") {
  CHECK(refusal("maxKeys", "256") ==
        "badConfig: config maxKeys \"256\": needs a whole number from 0 to 255");
  CHECK(refusal("maxKeys", "3 ") ==
        "badConfig: config maxKeys \"3 \": needs a whole number from 0 to 255");
  CHECK(refusal("strict", "yes") == "badConfig: config strict \"yes\": needs true or false");
  CHECK(refusal("colour", "blue") == "badConfig: config colour \"blue\": needs one of red, green");
  CHECK(refusal("ratio", "half") == "badConfig: config ratio \"half\": needs a number");
  CHECK(refusal("others", "a") ==
        "badConfig: config others \"a\": needs a field of its struct that "
        "text can fill: a number, Bool, enum, Text");
  CHECK(refusal("maxKey", "1") ==
        "badConfig: config maxKey: no such key; this plugin knows colour, "
        "label, maxKeys, others, ratio, strict");
}

TEST_CASE("sdk/describe: an inherited method keeps its own interface's id; options are described") {
  const flotilla_descriptor* d = flotilla::describe<LimitsMachine, Limits>(
      "limits", "1.0.0", {FLOTILLA_HANDLERS(LimitsMachine, put, size)});
  CHECK(d->problem == nullptr);
  REQUIRE(d->methodCount == 2);
  CHECK(d->methods[0].interfaceId == capnp::typeId<Limits>());
  CHECK(d->methods[1].interfaceId == capnp::typeId<Readable>());
  CHECK(d->methods[1].kind == FLOTILLA_QUERY);
  CHECK(d->configSchema.size > 0);
  Machine machine({FLOTILLA_HANDLERS(LimitsMachine, put, size)});
  machine.call<&LimitsMachine::put>([](auto in) { in.setKey("a"); });
  CHECK(machine.call<&LimitsMachine::size>([](auto) {}).result().getEntries() == 1);
}
