;; Attacks the rule that an answer depends on its arguments alone: it leaves marks in its memory, its table and its
;; globals, and looks for them; every call must begin afresh.

(memory $memory 200)
(table $table 8 funcref)
(elem declare func $mark)
(global $seen (mut i32) (i32.const 0))
(func $mark
  (if (global.get $seen) (then unreachable))
  (if (i32.load (i32.const 0)) (then unreachable))
  (if (i32.load (i32.const 12000000)) (then unreachable))
  (if (i32.eqz (ref.is_null (table.get $table (i32.const 3)))) (then unreachable))
  (global.set $seen (i32.const 1))
  (i32.store (i32.const 0) (i32.const 1))
  (i32.store (i32.const 12000000) (i32.const 1))
  (table.set $table (i32.const 3) (ref.func $mark)))
(func $config (result i32)
  (call $mark)
  (global.get $manifest))
(func $dependencies (param i32 i32) (result i32)
  (call $mark)
  (global.get $ok))
(func $update (call $mark))
