;; Attacks the stack of the host by calls that no compiler sees through; the limit on the stack must stop it.

(table $table 1 funcref)
(elem (i32.const 0) $down)
(func $down (param $depth i32) (result i32)
  (i32.add
    (call_indirect $table (param i32) (result i32) (i32.add (local.get $depth) (i32.const 1)) (i32.const 0))
    (local.get $depth)))
(func $update (drop (call $down (i32.const 0))))
