;; Attacks the host by emitting all of its memory as one message; the limit on one message must stop it.

(memory $memory 200)
(func $update
  (call $emit (i32.const 0) (i32.mul (memory.size) (i32.const 65536))))
