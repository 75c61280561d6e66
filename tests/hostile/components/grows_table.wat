;; Attacks the memory of the host by growing a table; the limit must be a trap, never an answer that it could hide.

(table $table 1 funcref)
(func $update
  (loop $again
    (drop (table.grow $table (ref.null func) (i32.const 1000)))
    (br $again)))
