;; Attacks the memory of the host by an allocator that answers an address beyond its own; the engine must trap
;; before it writes.

(func $realloc (param i32 i32 i32 i32) (result i32)
  (i32.const -16))
