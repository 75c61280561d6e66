;; Attacks the decoder with a text that begins before its buffer; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store (global.get $batch.ids_offsets) (i32.const -8))
  (call $emit_batch))
