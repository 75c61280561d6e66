;; Attacks the decoder with a body of a negative length; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store (global.get $batch.body_length) (i64.const -64))
  (call $emit_batch))
