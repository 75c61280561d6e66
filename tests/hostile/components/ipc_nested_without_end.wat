;; Attacks the decoder with five hundred lists within one another; it must be refused.

(func $update
  (call $emit_deep_schema))
