;; Attacks the network with a schema that refers to a web address; it must be refused.

(data (i32.const 0) "{\"$ref\": \"https://example.org/schema.json\"}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 43))
  (global.get $manifest))
