;; Attacks the host by calling it out of the allocator that it is calling, so that it would call the allocator
;; again; the engine must trap.

(global $calls (mut i32) (i32.const 0))
(func $realloc (param i32 i32 i32 i32) (result i32)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  ;; The first one takes the config, which `dependencies` gets, too.
  (if (i32.gt_u (global.get $calls) (i32.const 1))
    (then (call $option (global.get $ok) (i32.const 4) (global.get $answer))))
  (i32.const 65536))
