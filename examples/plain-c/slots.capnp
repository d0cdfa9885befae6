# Sixty-four numbers.
@0x8e3f83c910511f96;

interface Slots @0xc90209d8c79a2ec8 {
  # The id is written out, since C needs it as a number.

  add @0 (slot :UInt8, by :UInt64) -> (value :UInt64);
  # Beyond 64 bits a slot goes on from 0. Error: `noSuchSlot`.

  read @1 (slot :UInt8) -> (value :UInt64);
}
