;; Attacks the table with five thousand columns that its component says it has; it must be refused.

(memory $memory 8)
(data (i32.const 0) "bool")
(func $config (result i32)
  (local $at i32)
  (local.set $at (i32.const 4096))
  (loop $next
    ;; Type `bool`.
    (i32.store offset=12 (local.get $at) (i32.const 4))
    (local.set $at (i32.add (local.get $at) (i32.const 28)))
    (br_if $next (i32.lt_u (local.get $at) (i32.const 144096))))
  (i32.store offset=64 (global.get $manifest) (i32.const 4096))
  (i32.store offset=68 (global.get $manifest) (i32.const 5000))
  (global.get $manifest))
