# A service whose replicas could come to differ.
@0xd8b92f6a1c57e043;

interface Wavering {
  put @0 (key :Text) -> (value :UInt64);
  first @1 () -> (key :Text);
}
