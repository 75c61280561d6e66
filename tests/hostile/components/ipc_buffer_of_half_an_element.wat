;; Attacks the decoder with a buffer that ends within an element; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=24 (global.get $batch.buffers) (i64.const 15))
  (call $emit_batch))
