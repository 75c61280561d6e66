;; Attacks the catalogue with a description of 100,000 characters; it must be refused.

(func $config (result i32)
  (i32.store offset=16 (global.get $manifest) (i32.const 0))
  (i32.store offset=20 (global.get $manifest) (i32.const 100000))
  (global.get $manifest))
