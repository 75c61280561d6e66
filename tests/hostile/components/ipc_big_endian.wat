;; Attacks the decoder with numbers in the other byte order; it must be refused.

(func $update
  (call $emit_big_endian_schema))
