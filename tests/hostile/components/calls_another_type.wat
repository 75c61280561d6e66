;; Attacks the control flow by calling a function as if it had another type; the engine must trap.

(table $table 8 funcref)
(elem (i32.const 0) $takes)
(func $takes (param i64) (result i64) (local.get 0))
(func $update (call_indirect $table (i32.const 0)))
