;; Attacks the decoder with a message of no bytes; it must be refused.

(func $update
  (call $emit (i32.const 0) (i32.const 0)))
