# What the plugin starter can be asked.
@0xc7a3f9d2514e8b60;

interface Starter {
  add @0 (name :Text, by :Int64) -> (value :Int64);
  # Adds to what is kept under a name; what was never named begins at 0. Error: `emptyName`.

  read @1 (name :Text) -> (value :Int64);
}
