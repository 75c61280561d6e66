;; Attacks the decoder with lists of lists of lists; it must be refused.

(func $update
  (call $emit_nested_schema))
