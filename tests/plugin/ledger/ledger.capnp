# Sums by key: what tests of settings, of digests at run time and of upgrades run.
@0xb5c0a1fd3c8e7d92;

interface Ledger {
  add @0 (key :Text, by :UInt64) -> (sum :UInt64);
  get @1 (key :Text) -> (sum :UInt64, adds :UInt64);
}

struct LedgerOptions {
  keysMax @0 :UInt32 = 1000000;
  strays @1 :Text;  # A file's name: where the host's working directory has it, sums are one too high.
}
