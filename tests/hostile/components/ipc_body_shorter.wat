;; Attacks the decoder with a body that is shorter than it says; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store (global.get $batch.body_length) (i64.const 0x100000000))
  (call $emit_batch))
