;; Attacks the log with a level that there is not; the engine must trap.

(func $update
  (call $log (i32.const 9) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))
