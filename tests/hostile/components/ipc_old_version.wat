;; Attacks the decoder with metadata of an older version of Arrow; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store16 (global.get $batch.version) (i32.const 3))
  (call $emit_batch))
