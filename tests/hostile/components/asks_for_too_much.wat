;; Attacks the database with a query of a hundred thousand columns and one; it must be refused, as a value.

(memory $memory 60)
(data (i32.const 0) "value")
(func $update (result i32)
  (local $at i32)
  (local.set $at (i32.const 0x100000))
  (loop $next
    (i32.store offset=4 (local.get $at) (i32.const 5))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $next (i32.lt_u (local.get $at) (i32.const 1848584))))
  ;; Which columns: these.
  (i32.store8 offset=56 (global.get $open_arguments) (i32.const 1))
  (i32.store offset=60 (global.get $open_arguments) (i32.const 0x100000))
  (i32.store offset=64 (global.get $open_arguments) (i32.const 100001))
  (call $open (global.get $open_arguments) (global.get $answer))
  (call $say (i32.load offset=12 (global.get $answer)) (i32.load offset=16 (global.get $answer)))
  (global.get $author_error))
