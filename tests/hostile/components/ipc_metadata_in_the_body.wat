;; Attacks the decoder with metadata that reach into the body; it must be refused.

(func $update
  (call $emit_schema)
  (i32.store (global.get $batch.metadata_length) (i32.add (i32.load (global.get $batch.metadata_length)) (i32.const 8)))
  (call $emit_batch))
