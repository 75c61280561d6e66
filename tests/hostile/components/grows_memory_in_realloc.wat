;; Attacks the memory of the host while it hands over a config; the limit must stop it.

(func $realloc (param i32 i32 i32 i32) (result i32)
  (loop $again
    (drop (memory.grow (i32.const 16)))
    (br $again))
  unreachable)
