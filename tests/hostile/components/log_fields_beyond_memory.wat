;; Attacks the memory of the host with a list of fields that ends beyond its own; the engine must trap.

(func $update
  (call $log (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 65536) (i32.const 0x0fffffff)))
