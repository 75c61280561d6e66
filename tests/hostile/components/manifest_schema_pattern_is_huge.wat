;; Attacks the memory of the host with a pattern that would be an automaton of a thousand million states; it must
;; be refused.

(data (i32.const 0) "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^((a{1000}){1000}){1000}$\"}}}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 92))
  (global.get $manifest))
