;; Attacks the host after it has answered, in the function that frees its answer; the limit on fuel must stop it,
;; and the rows must not be stored.

(func $update
  (call $emit_schema)
  (call $emit_batch))
(func $after_update (param i32) (loop $again (br $again)))
