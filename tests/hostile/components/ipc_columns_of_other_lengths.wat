;; Attacks the decoder with columns of different lengths; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=16 (global.get $batch.nodes) (i64.const 1))
  (call $emit_batch))
