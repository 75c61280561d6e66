;; Attacks the table of handles by a number that it was never given; the engine must trap.

(func $update
  (call $reader_next (i32.const 7) (global.get $answer)))
