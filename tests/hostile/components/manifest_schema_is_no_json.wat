;; Attacks the parser of schemas with a text that is no JSON; it must be refused.

(data (i32.const 0) "{\"type\": \"object\"")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 17))
  (global.get $manifest))
