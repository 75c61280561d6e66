;; Attacks the catalogue with a schema of 300,000 bytes; it must be refused.

(memory $memory 32)
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 1048576))
  (i32.store offset=28 (global.get $manifest) (i32.const 300000))
  (global.get $manifest))
