;; Attacks the decoder with a column of nulls, which takes no bytes however many rows it has; it must be refused.

(func $update
  (call $emit_nothing_schema))
