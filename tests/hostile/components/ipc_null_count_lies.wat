;; Attacks the decoder with a null that the count denies, in the hope that what lies under it is stored; it must be
;; refused.

(func $update
  (call $emit_schema)
  (i64.store offset=40 (global.get $batch.nodes) (i64.const 0))
  (call $emit_batch))
