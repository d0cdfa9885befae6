# Keys and values: the plugin that everyone tries first.
@0xc0a1e2f6b5d34e91;

interface Kv {
  # Keys are Text of 1 to 4,096 bytes, values any bytes up to 1 MiB. A write's revision is the index of its
  # log entry. Errors: `emptyKey`, `keyTooLong`, `valueTooLarge`.

  put @0 (key :Text, value :Data) -> (revision :UInt64);

  get @1 (key :Text) -> (value :Data, found :Bool);

  remove @2 (key :Text) -> (removed :Bool);

  list @3 (prefix :Text, limit :UInt32, after :Text) -> (entries :List(Item), next :Text);
  # Keys that begin with `prefix`, in order, those greater than `after`. Limit 0: 100; at most 1,000, and about 1 MiB
  # of values. `next` is what to give as `after` to go on; empty: that was all.

  compareAndSet @4 (key :Text, expected :Data, expectAbsent :Bool, value :Data) -> (set :Bool, current :Data, found :Bool, revision :UInt64);
  # Sets `value` where the key holds `expected`, or, with expectAbsent, where there is no such key. Otherwise nothing
  # changes, `set` is false, and `current` and `found` say what is there.

  size @5 () -> (entries :UInt64);
}

struct Item {
  key @0 :Text;
  value @1 :Data;
}
