;; Attacks the table of handles by dropping one twice; the engine must trap.

(func $update
  (local $reader i32)
  (local.set $reader (call $open_self))
  (call $drop_reader (local.get $reader))
  (call $drop_reader (local.get $reader)))
