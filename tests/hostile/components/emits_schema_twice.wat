;; Attacks the decoder with the same schema again; it must be refused.

(func $update
  (call $emit_schema)
  (call $emit_batch)
  (call $emit_schema))
