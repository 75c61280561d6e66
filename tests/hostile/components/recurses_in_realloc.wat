;; Attacks the stack of the host while it hands over a config, in the allocator; the limit on the stack must stop
;; it.

(func $realloc (param i32 i32 i32 i32) (result i32)
  (i32.add
    (call $realloc (local.get 0) (local.get 1) (local.get 2) (i32.add (local.get 3) (i32.const 1)))
    (i32.const 8)))
