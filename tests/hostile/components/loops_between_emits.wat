;; Attacks the patience of the host: good rows, and ever longer loops between them; fuel must count across host
;; calls.

(func $update
  (local $turns i32) (local $left i32)
  (call $emit_schema)
  (loop $next
    (call $emit_row)
    (i64.store (global.get $row.times) (i64.add (i64.load (global.get $row.times)) (i64.const 1)))
    (local.set $turns (i32.add (i32.mul (local.get $turns) (i32.const 2)) (i32.const 1000)))
    (local.set $left (local.get $turns))
    (loop $again
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (br $next)))
