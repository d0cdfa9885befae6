# Named counters.
@0xd3b8a4e95f6c2711;

interface Counter {
  add @0 (name :Text, by :Int64) -> (value :Int64);
  # A counter begins at 0. Error: `emptyName`.

  read @1 (name :Text) -> (value :Int64);
}
