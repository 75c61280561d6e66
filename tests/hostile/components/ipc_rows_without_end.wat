;; Attacks the decoder with a number of rows that no buffer could hold; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store (global.get $batch.rows) (i64.const 0x4000000000000000))
  (i64.store (global.get $batch.nodes) (i64.const 0x4000000000000000))
  (i64.store offset=16 (global.get $batch.nodes) (i64.const 0x4000000000000000))
  (i64.store offset=32 (global.get $batch.nodes) (i64.const 0x4000000000000000))
  (call $emit_batch))
