;; Attacks the decoder with two ends of the stream and rows behind them; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store (i32.const 0) (i64.const 0x00000000ffffffff))
  (call $emit (i32.const 0) (i32.const 8))
  (call $emit (i32.const 0) (i32.const 8))
  (call $emit_batch))
