// JSON into Cap'n Proto and back, and the words for what does not fit.
#include "admin/json_value.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

#include "tests/admin/things.capnp.h"

using namespace flotilla::admin;  // NOLINT(google-build-using-namespace)
using flotilla::test::Things;

namespace {

// What comes of writing `json` into a Things: it as JSON again, or the fault's text.
std::string through(const std::string& json, DataForm form = DataForm::text) {
  auto tree = parseJson(json);
  if (!tree) return "fault: " + tree.fault().text;
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::DynamicStruct>(capnp::Schema::from<Things>());
  if (auto filled = fillStruct(root, *tree); !filled) return "fault: " + filled.fault().text;
  return toJson(root.asReader(), form).dump();
}

// One field of it.
std::string field(const std::string& name, const std::string& json,
                  DataForm form = DataForm::text) {
  std::string all = through("{\"" + name + "\":" + json + "}", form);
  if (all.rfind("fault: ", 0) == 0) return all.substr(7);
  return nlohmann::ordered_json::parse(all)[name].dump();
}

std::string typed(const std::string& name, const std::string& value) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::DynamicStruct>(capnp::Schema::from<Things>());
  if (auto filled = fillFields(root, {{name, value}}); !filled) return filled.fault().text;
  return toJson(root.asReader(), DataForm::text)[name].dump();
}

}  // namespace

TEST_CASE("admin/json_value: a struct that nothing is said of has its defaults") {
  CHECK(through("{}") ==
        R"({"flag":false,"tiny":0,"small":0,"big":0,"huge":0,"single":0.0,"real":0.0,"text":"",)"
        R"("bytes":"","colour":"red","numbers":[],"lists":[],"inners":[],"nothing":null,)"
        R"("place":{"x":0,"y":0},"any":null,"blobs":[]})");
}

TEST_CASE("admin/json_value: values of every kind come back as they went") {
  CHECK(field("flag", "true") == "true");
  CHECK(field("tiny", "-128") == "-128");
  CHECK(field("small", "65535") == "65535");
  CHECK(field("big", "-9223372036854775808") == "-9223372036854775808");
  CHECK(field("big", "9223372036854775807") == "9223372036854775807");
  CHECK(field("huge", "18446744073709551615") == "18446744073709551615");
  CHECK(field("huge", "\"18446744073709551615\"") == "18446744073709551615");
  CHECK(field("huge", "9007199254740993") == "9007199254740993");
  CHECK(field("real", "0.1") == "0.1");
  CHECK(field("real", "-1.5e300") == "-1.5e+300");
  CHECK(field("real", "\"NaN\"") == "\"NaN\"");
  CHECK(field("real", "\"-Infinity\"") == "\"-Infinity\"");
  CHECK(field("text", R"("grün \u0000 \"x\"")") == R"("grün \u0000 \"x\"")");
  CHECK(field("colour", "\"green\"") == "\"green\"");
  CHECK(field("numbers", "[1,2,255]") == "[1,2,255]");
  CHECK(field("lists", "[[1],[],[-2,3]]") == "[[1],[],[-2,3]]");
  CHECK(field("inner", R"({"name":"a","next":{"name":"b"}})") ==
        R"({"name":"a","next":{"name":"b","value":5},"value":5})");
  CHECK(field("inners", R"([{"value":1},{}])") ==
        R"([{"name":"","value":1},{"name":"","value":5}])");
  CHECK(field("place", R"({"y":-4})") == R"({"x":0,"y":-4})");
  CHECK(field("count", "7") == "7");
  CHECK(through(R"({"word":"w"})").find("\"nothing\"") == std::string::npos);
}

TEST_CASE("admin/json_value: numbers are read exactly, however they are written") {
  CHECK(field("small", "1e3") == "1000");
  CHECK(field("small", "1.50e1") == "15");
  CHECK(field("small", "5.0") == "5");
  CHECK(field("small", "-0") == "0");
  CHECK(field("huge", "1844674407370955161.5e1") == "18446744073709551615");
  CHECK(field("small", "0e999999999999999999999") == "0");
}

TEST_CASE("admin/json_value: Data is a string of its bytes, or base64") {
  CHECK(field("bytes", "\"hello\"") == "\"hello\"");
  CHECK(field("bytes", "\"hello\"", DataForm::base64) == R"({"base64":"aGVsbG8="})");
  CHECK(field("bytes", R"({"base64":"aGVsbG8="})") == "\"hello\"");
  CHECK(field("bytes", R"({"base64":"/wA="})") == R"({"base64":"/wA="})");
  CHECK(field("blobs", R"(["a",{"base64":"gA=="}])") == R"(["a",{"base64":"gA=="}])");
  for (size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 37);
    CHECK(*fromBase64(toBase64(bytes)) == bytes);
  }
}

TEST_CASE("admin/json_value: what does not fit is said with its path") {
  CHECK(field("bytes", "5") == R"(bytes: expected a string or {"base64":…}, found 5)");
  CHECK(field("bytes", R"({"base64":5})") ==
        R"(bytes: expected a string or {"base64":…}, found an object)");
  CHECK(field("bytes", R"({"base64":"a"})") ==
        R"(bytes.base64: expected base64 with padding, found "a")");
  CHECK(field("bytes", R"({"base64":"aGVsbG9="})").find("bytes.base64: expected base64") == 0);
  CHECK(field("text", "5") == "text: expected a string, found 5");
  CHECK(field("text", "null") == "text: expected a string, found null");
  CHECK(field("flag", "1") == "flag: expected true or false, found 1");
  CHECK(field("small", "1.5") == "small: expected a whole number from 0 to 65535, found 1.5");
  CHECK(field("small", "65536") == "small: expected a whole number from 0 to 65535, found 65536");
  CHECK(field("small", "-1") == "small: expected a whole number from 0 to 65535, found -1");
  CHECK(field("small", "true") == "small: expected a whole number from 0 to 65535, found true");
  CHECK(field("small", "\"12x\"") ==
        "small: expected a whole number from 0 to 65535, found \"12x\"");
  CHECK(field("small", "\" 12\"").find("small: expected a whole number") == 0);
  CHECK(field("small", "\"\"").find("small: expected a whole number") == 0);
  CHECK(field("tiny", "128") == "tiny: expected a whole number from -128 to 127, found 128");
  CHECK(field("tiny", "-129") == "tiny: expected a whole number from -128 to 127, found -129");
  CHECK(field("huge", "18446744073709551616") ==
        "huge: expected a whole number from 0 to 18446744073709551615, found 18446744073709551616");
  CHECK(field("big", "9223372036854775808").find("big: expected a whole number") == 0);
  CHECK(field("big", "1e300").find("big: expected a whole number") == 0);
  CHECK(field("big", "1e400") == "JSON: number 1e400 is larger than any that is kept");
  CHECK(field("real", "\"many\"").find("real: expected a number") == 0);
  CHECK(field("single", "1e39") == "single: expected a number of at most 3.4e38, found 1e39");
  CHECK(field("colour", "\"blue\"") == R"(colour: expected one of "red", "green", found "blue")");
  CHECK(field("colour", "1") == R"(colour: expected one of "red", "green", found 1)");
  CHECK(field("numbers", "{}") == "numbers: expected a list, found an object");
  CHECK(field("numbers", "[1,256]") ==
        "numbers[1]: expected a whole number from 0 to 255, found 256");
  CHECK(field("lists", "[[1],[2,\"x\"]]").find("lists[1][1]: expected a whole number") == 0);
  CHECK(field("inner", "[]") == "inner: expected an object, found a list");
  CHECK(field("inners", R"([{"name":"a"},{"next":{"name":5}}])") ==
        "inners[1].next.name: expected a string, found 5");
  CHECK(field("place", "5") == "place: expected an object, found 5");
  CHECK(field("place", R"({"z":1})") == "place.z: no such field; there is x, y");
  CHECK(field("nothing", "1") == "nothing: expected null, found 1");
  CHECK(field("any", "1") == "any: a capability or untyped pointer; JSON cannot say it");
}

TEST_CASE("admin/json_value: unknown and repeated fields and two of a union are refused") {
  CHECK(through(R"({"txt":"a"})").find("fault: txt: no such field; there is flag, tiny,") == 0);
  CHECK(through(R"({"text":"a","text":"b"})") == "fault: text: given twice");
  CHECK(through(R"({"inner":{"name":"a","name":"a"}})") == "fault: inner.name: given twice");
  CHECK(through(R"({"count":1,"word":"x"})") ==
        "fault: word: of one union with count; give one of them");
  CHECK(through("[]") == "fault: expected an object, found a list");
}

TEST_CASE("admin/json_tree: what is no JSON is refused with its place") {
  CHECK(through("{\"text\":").find("fault: not JSON: at byte ") == 0);
  CHECK(through("").find("fault: not JSON: at byte ") == 0);
  CHECK(through("{} {}").find("fault: not JSON: at byte ") == 0);
  CHECK(through("{\"text\":\"\xff\"}").find("fault: not JSON: at byte ") == 0);
  CHECK(through(std::string(100'000, '[')).find("fault: JSON: more than 48 levels deep") == 0);
}

TEST_CASE("admin/json_tree: UTF-8 is judged as RFC 3629 has it") {
  CHECK(isUtf8(""));
  CHECK(isUtf8("aä€😀"));
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xc3", "\xe2\x82", "\xff"}) {
    CHECK(!isUtf8(bad));
  }
}

TEST_CASE("admin/json_value: field=value is written plainly, or as JSON where it must be") {
  CHECK(typed("text", "5") == "\"5\"");
  CHECK(typed("text", "a=b") == "\"a=b\"");
  CHECK(typed("text", "\xff") == "text: expected a string of valid UTF-8, found other bytes");
  CHECK(typed("bytes", "\xff") == R"({"base64":"/w=="})");
  CHECK(typed("bytes", R"({"base64":"aGk="})") == R"("{\"base64\":\"aGk=\"}")");
  CHECK(typed("huge", "18446744073709551615") == "18446744073709551615");
  CHECK(typed("small", "x") == "small: expected a whole number from 0 to 65535, found \"x\"");
  CHECK(typed("real", "0.5") == "0.5");
  CHECK(typed("colour", "green") == "\"green\"");
  CHECK(typed("flag", "true") == "true");
  CHECK(typed("flag", "yes").find("flag: not JSON") == 0);
  CHECK(typed("numbers", "[1,2]") == "[1,2]");
  CHECK(typed("place", R"({"x":3})") == R"({"x":3,"y":0})");
  CHECK(typed("nope", "1").find("nope: no such field; there is flag, ") == 0);
}
