;; Attacks the decoder with more of a dictionary that was never begun; it must be refused.

(func $update
  (call $emit_schema)
  (call $emit_dictionary_delta))
