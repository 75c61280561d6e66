;; Attacks the calendar with the last moment that 64 bits can hold; it must be refused.

(func $update
  (call $emit_schema)
  (i64.store (global.get $row.times) (i64.const 0x7fffffffffffffff))
  (call $emit_row))
