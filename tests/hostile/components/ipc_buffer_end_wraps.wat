;; Attacks the decoder with a buffer whose end wraps around; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=16 (global.get $batch.buffers) (i64.const 0x7ffffffffffffff8))
  (i64.store offset=24 (global.get $batch.buffers) (i64.const 0x7ffffffffffffff8))
  (call $emit_batch))
