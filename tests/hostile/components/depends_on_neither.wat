;; Attacks the host with a dependency that is neither a node nor a table; the engine must trap.

(func $dependencies (param i32 i32) (result i32)
  (i32.store offset=8 (i32.const 4096) (i32.const 7))
  (i32.store offset=4 (global.get $ok) (i32.const 4096))
  (i32.store offset=8 (global.get $ok) (i32.const 1))
  (global.get $ok))
