;; Attacks the memory of the host with a list of three million sources, all of them nothing; the limit on a message
;; must stop it.

(memory $memory 1000)
(func $config (result i32)
  (i32.store offset=48 (global.get $manifest) (i32.const 0))
  (i32.store offset=52 (global.get $manifest) (i32.const 3000000))
  (global.get $manifest))
