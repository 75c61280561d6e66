;; Attacks the decoder with a buffer that begins before the body; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=16 (global.get $batch.buffers) (i64.const -8))
  (call $emit_batch))
