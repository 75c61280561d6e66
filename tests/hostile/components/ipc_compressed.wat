;; Attacks the decoder with four kilobytes that would be 256 MiB; it must be refused.

(func $update
  (call $emit_schema)
  (call $emit_bomb))
