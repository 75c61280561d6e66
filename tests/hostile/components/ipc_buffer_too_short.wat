;; Attacks the decoder with a buffer that is shorter than its rows; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=24 (global.get $batch.buffers) (i64.const 8))
  (call $emit_batch))
