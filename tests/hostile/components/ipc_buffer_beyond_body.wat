;; Attacks the decoder with a buffer that lies beyond the body; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=96 (global.get $batch.buffers) (i64.const 0x1000000))
  (call $emit_batch))
