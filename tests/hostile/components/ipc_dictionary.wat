;; Attacks the decoder with a dictionary that no column asked for; it must be refused.

(func $update
  (call $emit_schema)
  (call $emit_dictionary))
