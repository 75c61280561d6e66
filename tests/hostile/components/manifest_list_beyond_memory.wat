;; Attacks the memory of the host with a list of sources that ends beyond its own; the engine must trap.

(func $config (result i32)
  (i32.store offset=48 (global.get $manifest) (i32.const 65536))
  (i32.store offset=52 (global.get $manifest) (i32.const 268435455))
  (global.get $manifest))
