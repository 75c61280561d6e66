;; Attacks the table of handles by reading what it has dropped; the engine must trap.

(func $update
  (local $reader i32)
  (local.set $reader (call $open_self))
  (call $drop_reader (local.get $reader))
  (call $reader_next (local.get $reader) (global.get $answer)))
