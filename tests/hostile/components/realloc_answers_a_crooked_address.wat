;; Attacks the host with an allocator that answers addresses that are not aligned; the engine must trap.

(func $realloc (param i32 i32 i32 i32) (result i32)
  ;; Good enough for the text of the config, and for no list.
  (i32.const 65537))
