# What the tests of JSON convert.
@0xd4c1f3a09b7e5521;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("flotilla::test");

enum Colour { red @0; green @1; }

struct Things {
  flag @0 :Bool;
  tiny @1 :Int8;
  small @2 :UInt16;
  big @3 :Int64;
  huge @4 :UInt64;
  single @5 :Float32;
  real @6 :Float64;
  text @7 :Text;
  bytes @8 :Data;
  colour @9 :Colour;
  numbers @10 :List(UInt8);
  lists @11 :List(List(Int32));
  inner @12 :Inner;
  inners @13 :List(Inner);
  union {
    nothing @14 :Void;
    count @15 :UInt32;
    word @16 :Text;
  }
  place :group {
    x @17 :Int32;
    y @18 :Int32;
  }
  any @19 :AnyPointer;
  blobs @20 :List(Data);
}

struct Inner {
  name @0 :Text;
  next @1 :Inner;
  value @2 :UInt64 = 5;
}

interface Store {
  put @0 (key :Text, things :Things) -> (revision :UInt64);
  get @1 (key :Text) -> (things :Things, found :Bool);
}
