;; Attacks the decoder with more nulls than rows; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=40 (global.get $batch.nodes) (i64.const 3))
  (call $emit_batch))
