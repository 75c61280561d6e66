;; Attacks whoever grants sources with a thousand of them; it must be refused.

(func $config (result i32)
  (i32.store offset=48 (global.get $manifest) (i32.const 0))
  (i32.store offset=52 (global.get $manifest) (i32.const 1000))
  (global.get $manifest))
