;; Attacks the host with twenty thousand columns; the check against the contract must refuse them at once.

(func $update (call $emit_columns_many_schema))
