;; Attacks the decoder with two buffers that are the same bytes; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=96 (global.get $batch.buffers) (i64.load offset=16 (global.get $batch.buffers)))
  (call $emit_batch))
