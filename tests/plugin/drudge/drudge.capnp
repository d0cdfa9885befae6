# Work that takes as long as it is told: what shows that a quota of time holds, and that long queries hold up nobody.
@0xd9f04c7a61e2b835;

interface Drudge @0x8f5b1e07c3d2a964 {
  put @0 (key :UInt64, value :UInt64) -> (sum :UInt64);
  # The sum of all values.

  toil @1 (rounds :UInt32) -> (mark :UInt64);
  # Walks over all values so many times, as a command.

  weigh @2 (rounds :UInt32) -> (sum :UInt64, entries :UInt64);
  # The same, as a query that is asked beside: the sum of all values, and how many there are.

  weighHere @3 (rounds :UInt32) -> (sum :UInt64, entries :UInt64);
  # The same, between commands.

  clear @4 () -> ();
}
