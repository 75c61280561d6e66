;; Attacks the catalogue with a name that is not UTF-8; the engine must trap.

(data (i32.const 0) "\ff\ff\ff\ff")
(func $config (result i32)
  (i32.store offset=0 (global.get $manifest) (i32.const 0))
  (i32.store offset=4 (global.get $manifest) (i32.const 4))
  (global.get $manifest))
