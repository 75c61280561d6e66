;; Attacks the commit by emitting more after it has answered, in its post-return; the engine must trap, and nothing
;; may be stored.

(func $update
  (call $emit_schema)
  (call $emit_batch))
(func $after_update (param i32)
  (call $emit_row))
