# A kv that also does what no plugin should, when told to.
@0xb51c2f7de8a04936;

interface BadBehaviour {
  put @0 (key :Text, value :Data) -> (revision :UInt64);
  get @1 (key :Text) -> (value :Data, found :Bool);
  throwForeign @2 () -> ();   # a command that throws what is no flotilla::Error
  loopForever @3 () -> ();    # a command that never returns
  crash @4 () -> ();          # a command that dereferences null
  crashQuery @5 () -> ();     # a query that does
  loopQuery @6 () -> ();      # a query that never returns
  size @7 () -> (entries :UInt64);
}
