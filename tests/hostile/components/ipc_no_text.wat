;; Attacks the decoder with a text that is not UTF-8; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store8 (global.get $batch.ids) (i32.const 0xff))
  (call $emit_batch))
