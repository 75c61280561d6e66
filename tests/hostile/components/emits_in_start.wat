;; Attacks the phases by emitting before it is asked anything; the upload must be refused.

(func $first (call $emit_schema))
(start $first)
