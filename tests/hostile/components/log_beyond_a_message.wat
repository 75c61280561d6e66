;; Attacks the record of the run with one line of 16 MiB; the limit on one message must stop it.

(memory $memory 400)
(func $update
  (call $log (i32.const 1) (i32.const 0) (i32.const 0x1000000) (i32.const 0) (i32.const 0)))
