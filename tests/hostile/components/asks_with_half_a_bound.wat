;; Attacks the host with a range that is neither open nor bounded; the engine must trap.

(func $update
  (i32.store8 offset=8 (global.get $open_arguments) (i32.const 2))
  (drop (call $open_self)))
