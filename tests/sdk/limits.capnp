# An interface that inherits, and a machine's options as a struct.
@0xa62d3c7c0e0f51b9;

interface Readable {
  size @0 () -> (entries :UInt64);
}

interface Limits extends(Readable) {
  put @0 (key :Text) -> (label :Text);
}

enum Colour {
  red @0;
  green @1;
}

struct LimitsOptions {
  maxKeys @0 :UInt8 = 3;
  label @1 :Text = "none";
  strict @2 :Bool;
  colour @3 :Colour;
  ratio @4 :Float64 = 0.5;
  others @5 :List(Text);
}
