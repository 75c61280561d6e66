;; Attacks the decoder with a column of numbers that stand for texts; it must be refused.

(func $update
  (call $emit_dictionary_schema))
