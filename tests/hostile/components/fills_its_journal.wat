;; Attacks the catalogue by log lines that nobody can compress, so that its journal is larger than any that is kept; it
;; must not be kept, and the run must say so.

(func $update
  (local $left i32)
  (local $at i32)
  (local $chance i64)
  (local.set $left (i32.const 260000))
  (local.set $chance (i64.const 88172645463325252))
  (loop $lines
    ;; Four hundred characters, of which there are 64.
    (local.set $at (i32.const 0))
    (loop $characters
      (local.set $chance (i64.xor (local.get $chance) (i64.shl (local.get $chance) (i64.const 13))))
      (local.set $chance (i64.xor (local.get $chance) (i64.shr_u (local.get $chance) (i64.const 7))))
      (local.set $chance (i64.xor (local.get $chance) (i64.shl (local.get $chance) (i64.const 17))))
      (i32.store8
        (local.get $at)
        (i32.add
          (i32.const 48)
          (i32.and (i32.wrap_i64 (i64.shr_u (local.get $chance) (i64.const 40))) (i32.const 63))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $characters (i32.lt_u (local.get $at) (i32.const 400))))
    (call $log (i32.const 1) (i32.const 0) (i32.const 400) (i32.const 0) (i32.const 0))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $lines (local.get $left))))
