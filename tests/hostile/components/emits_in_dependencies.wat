;; Attacks the phases by emitting rows while a node is created; that must be refused.

(func $dependencies (param i32 i32) (result i32)
  (call $emit_schema)
  (global.get $ok))
