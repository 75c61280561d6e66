;; Attacks whoever creates a node with a pattern that tries every way to read the default beside it; it must be
;; bounded.

(data (i32.const 0) "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"default\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\",\"pattern\":\"^(?:(a|aa)+)+(?=b)$\"}}}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 164))
  (global.get $manifest))
