;; Attacks whoever creates a node with a schema that is itself; it must be bounded.

(data (i32.const 0) "{\"$ref\": \"#\"}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 13))
  (global.get $manifest))
