;; Attacks the decoder with a negative number of nulls; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=40 (global.get $batch.nodes) (i64.const -1))
  (call $emit_batch))
