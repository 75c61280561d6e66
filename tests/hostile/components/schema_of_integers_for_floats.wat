;; Attacks the types of the table: bits of integers in a batch that the schema says are floats are floats; a batch
;; of more buffers must be refused.

(func $update
  (call $emit_schema)
  (call $emit_columns_more))
