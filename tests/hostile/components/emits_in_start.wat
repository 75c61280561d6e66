;; Attacks the phases by emitting before it is asked anything, when its imports are not there yet; the engine must
;; trap.

(func $first (call $emit_schema))
(start $first)
