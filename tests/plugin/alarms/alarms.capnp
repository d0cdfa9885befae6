# Alarms that ring once log time has come to them: what shows that timers fire, once, and never early.
@0xe7a41f02c95d8b36;

interface Alarms @0xd31c6c8b3ae07f54 {
  set @0 (alarm :UInt64, inUs :Int64, again :UInt32, fails :Fails) -> (dueUs :Int64);
  # Rings when log time has moved on by inUs, and `again` times more, each so long after the one before. Error: `asked`
  # where it is to fail.

  setMany @1 (first :UInt64, count :UInt32, inUs :Int64, everyUs :Int64) -> (lastUs :Int64);
  # Alarms first, first + 1 …, everyUs after each other. Error: `tooMany` past 1,000.

  tally @2 () -> (pending :UInt64, rung :UInt64, twice :UInt64, early :UInt64, lateUsMax :Int64, timeUs :Int64);
  # How many wait, how often any has rung, how often one that did not wait, or before its time.
}

enum Fails {
  never @0;
  setting @1;   # the command that sets it, after it has set its timer
  ringing @2;   # its ringing, after it has set another timer
}
