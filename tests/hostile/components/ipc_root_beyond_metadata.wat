;; Attacks the decoder with a table of metadata that lies elsewhere; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store (global.get $batch.metadata) (i32.const 0x7ffffff0))
  (call $emit_batch))
