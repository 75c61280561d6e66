;; Attacks the validator with a schema that is none; it must be refused.

(data (i32.const 0) "{\"type\": \"everything\"}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 22))
  (global.get $manifest))
