;; Attacks the order of releases with a version that is none; it must be refused.

(data (i32.const 0) "latest")
(func $config (result i32)
  (i32.store offset=8 (global.get $manifest) (i32.const 0))
  (i32.store offset=12 (global.get $manifest) (i32.const 6))
  (global.get $manifest))
