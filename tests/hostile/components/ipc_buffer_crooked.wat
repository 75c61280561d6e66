;; Attacks the decoder with a buffer that is not aligned; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=96 (global.get $batch.buffers) (i64.add (i64.load offset=96 (global.get $batch.buffers)) (i64.const 4)))
  (i64.store offset=104 (global.get $batch.buffers) (i64.const 16))
  (call $emit_batch))
