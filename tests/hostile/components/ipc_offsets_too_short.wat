;; Attacks the decoder with fewer offsets than texts; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=56 (global.get $batch.buffers) (i64.const 8))
  (call $emit_batch))
