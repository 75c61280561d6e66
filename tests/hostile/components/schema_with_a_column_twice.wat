;; Attacks the table with a column that comes twice; it must be refused.

(func $update (call $emit_columns_twice_schema))
