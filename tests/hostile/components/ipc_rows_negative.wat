;; Attacks the decoder with a negative number of rows; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store (global.get $batch.rows) (i64.const -2))
  (call $emit_batch))
