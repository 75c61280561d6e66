;; Attacks the log with bytes that are not UTF-8; the engine must trap.

(data (i32.const 0) "\c3\28\ff\fe")
(func $update
  (call $log (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0)))
