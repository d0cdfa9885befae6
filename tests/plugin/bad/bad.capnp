# Interfaces that cannot be served, and one that can.
@0x9f1f7a8e43d5b620;

interface Plain {
  put @0 (key :Text) -> (revision :UInt64);
  get @1 (key :Text) -> (found :Bool);
}

interface WithCapability {
  put @0 (key :Text) -> (revision :UInt64);
  watch @1 (options :Options) -> ();

  struct Options {
    key @0 :Text;
    sinks @1 :List(Plain);
  }
}

interface WithAnyPointer {
  put @0 (key :Text) -> (revision :UInt64);
  any @1 () -> (value :AnyPointer);
}

interface WithStream {
  put @0 (key :Text) -> (revision :UInt64);
  feed @1 (bytes :Data) -> stream;
}

interface WithGeneric {
  put @0 (key :Text) -> (revision :UInt64);
  wrap @1 (box :Box(Text)) -> ();

  struct Box(T) {
    content @0 :T;
  }
}
