;; Attacks the decoder with nulls without the bits that say where; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=88 (global.get $batch.buffers) (i64.const 0))
  (call $emit_batch))
