;; Attacks the decoder with texts that refer to any buffer; it must be refused.

(func $update
  (call $emit_views_schema))
