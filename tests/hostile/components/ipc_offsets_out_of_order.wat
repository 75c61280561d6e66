;; Attacks the decoder with texts that end before they begin; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store offset=4 (global.get $batch.ids_offsets) (i32.const 3))
  (i32.store offset=8 (global.get $batch.ids_offsets) (i32.const 1))
  (call $emit_batch))
