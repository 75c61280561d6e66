;; Attacks the table with a schema of no columns; it must be refused.

(func $update (call $emit_columns_none_schema))
