;; Attacks the host while it hands over a config, in the allocator; the limit on fuel must stop it.

(func $realloc (param i32 i32 i32 i32) (result i32)
  (loop $again (br $again))
  unreachable)
