;; Attacks the catalogue with a chain of dependencies that has no end: on itself, with one more in its config; the
;; limit on the chain must refuse the node.

(data (i32.const 1024) "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"string\",\"default\":\"\"},\"table\":{\"type\":\"string\",\"default\":\"out\",\"x-table-reference\":true}}}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 1024))
  (i32.store offset=28 (global.get $manifest) (i32.const 134))
  (global.get $manifest))
(data (i32.const 0) "kdepends_on_ever_moreout")
(func $dependencies (param $config i32) (param $length i32) (result i32)
  ;; The config is {"n":"aaa","table":"out"}, and the next one has one letter more.
  (memory.copy (i32.const 8192) (local.get $config) (i32.const 6))
  (i32.store8 (i32.const 8198) (i32.const 0x61))
  (memory.copy (i32.const 8199) (i32.add (local.get $config) (i32.const 6)) (i32.sub (local.get $length) (i32.const 6)))
  (i32.store offset=4 (i32.const 4096) (i32.const 1))
  (i32.store offset=12 (i32.const 4096) (i32.const 1))
  (i32.store offset=16 (i32.const 4096) (i32.const 20))
  (i32.store offset=20 (i32.const 4096) (i32.const 8192))
  (i32.store offset=24 (i32.const 4096) (i32.add (local.get $length) (i32.const 1)))
  (i32.store offset=28 (i32.const 4096) (i32.const 21))
  (i32.store offset=32 (i32.const 4096) (i32.const 3))
  (i32.store offset=4 (global.get $ok) (i32.const 4096))
  (i32.store offset=8 (global.get $ok) (i32.const 1))
  (global.get $ok))
