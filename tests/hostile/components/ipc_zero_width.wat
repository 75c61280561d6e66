;; Attacks the decoder with a column of values of no bytes; it must be refused.

(func $update
  (call $emit_zero_width_schema))
