;; Attacks the decoder with two texts that share one character of two bytes; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store16 (global.get $batch.ids) (i32.const 0xa9c3))
  (call $emit_batch))
