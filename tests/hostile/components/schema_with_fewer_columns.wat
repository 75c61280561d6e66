;; Attacks the decoder with a batch that has fewer columns than the schema; it must be refused.

(func $update
  (call $emit_schema)
  (call $emit_columns_fewer))
