;; Attacks the table of handles by using one kind as another; the engine must trap.

(func $update
  (call $read_body (call $open_self) (i32.const 100) (global.get $answer)))
