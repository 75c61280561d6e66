;; Attacks the memory of the host by writing far beyond its own; the engine must trap.

(func $update
  (i64.store offset=0xfffffff8 (i32.const -1) (i64.const 7)))
