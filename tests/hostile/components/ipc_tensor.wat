;; Attacks the decoder with a tensor; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store8 (global.get $batch.header_type) (i32.const 4))
  (call $emit_batch))
