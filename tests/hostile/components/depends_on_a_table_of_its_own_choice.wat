;; Attacks the identity of nodes with a table that its config does not name; it must be refused.

(data (i32.const 0) "out")
(func $dependencies (param i32 i32) (result i32)
  (i32.store offset=4 (i32.const 4096) (i32.const 3))
  (i32.store offset=8 (i32.const 4096) (i32.const 1))
  (i32.store offset=12 (i32.const 4096) (i32.const 0))
  (i32.store offset=16 (i32.const 4096) (i32.const 3))
  (i32.store offset=4 (global.get $ok) (i32.const 4096))
  (i32.store offset=8 (global.get $ok) (i32.const 1))
  (global.get $ok))
