;; Attacks the decoder with rows of no schema; they must be refused.

(func $update (call $emit_batch))
