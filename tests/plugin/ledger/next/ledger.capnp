# The ledger's next version: a method and a field more.
@0xb5c0a1fd3c8e7d92;

interface Ledger {
  add @0 (key :Text, by :UInt64, note :Text) -> (sum :UInt64);
  get @1 (key :Text) -> (sum :UInt64, adds :UInt64, note :Text);
  take @2 (key :Text, by :UInt64) -> (sum :UInt64);
}

struct LedgerOptions {
  keysMax @0 :UInt32 = 1000000;
  strays @1 :Text;
}
