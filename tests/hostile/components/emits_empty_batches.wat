;; Attacks the run with batches without rows, without end; the limit on host calls must stop it.

(func $update
  (call $emit_schema)
  (loop $again
    (call $emit_empty)
    (br $again)))
