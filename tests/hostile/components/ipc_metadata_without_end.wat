;; Attacks the decoder with metadata that are longer than the message; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store (global.get $batch.metadata_length) (i32.const 0x7ffffff8))
  (call $emit_batch))
