;; Attacks the stack of the parser with a hundred thousand open brackets; it must be refused.

(func $config (result i32)
  (memory.fill (i32.const 0) (i32.const 0x5b) (i32.const 100000))
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 100000))
  (global.get $manifest))
