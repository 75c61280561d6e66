;; Attacks the decoder with another schema in the midst of the frame; it must be refused.

(func $update
  (call $emit_schema)
  (call $emit_batch)
  (call $emit_integers_schema)
  (call $emit_integers))
