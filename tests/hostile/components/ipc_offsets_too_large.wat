;; Attacks the decoder with a text that ends far beyond its buffer; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store offset=8 (global.get $batch.ids_offsets) (i32.const 0x7fffffff))
  (call $emit_batch))
