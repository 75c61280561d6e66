;; Attacks the record of the run with lines of a hundred fields, without end; it must stay small, and the limit on
;; host calls must stop it.

(func $update
  ;; A hundred times the same two texts, from memory that holds zeros: texts may be any characters.
  (local $at i32)
  (local.set $at (i32.const 4096))
  (loop $next
    (i32.store offset=4 (local.get $at) (i32.const 64))
    (i32.store offset=12 (local.get $at) (i32.const 64))
    (local.set $at (i32.add (local.get $at) (i32.const 16)))
    (br_if $next (i32.lt_u (local.get $at) (i32.const 5696))))
  (loop $again
    (call $log (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 4096) (i32.const 100))
    (br $again)))
