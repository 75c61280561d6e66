;; Attacks the decoder with a message of before Arrow 0.15, without its marker; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store (global.get $batch) (i32.const 0x100))
  (call $emit_batch))
