;; Attacks the decoder with a null in the index by its count, with bits that say there is none; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store offset=8 (global.get $batch.nodes) (i64.const 1))
  (call $emit_batch))
