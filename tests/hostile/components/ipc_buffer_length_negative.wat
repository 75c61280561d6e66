;; Attacks the decoder with a buffer of a negative length; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=24 (global.get $batch.buffers) (i64.const -16))
  (call $emit_batch))
