;; Attacks the host with an option that is neither there nor not; the engine must trap.

(func $config (result i32)
  (i32.store8 offset=32 (global.get $manifest) (i32.const 7))
  (global.get $manifest))
