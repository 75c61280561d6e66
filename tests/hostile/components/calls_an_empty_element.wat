;; Attacks the control flow by calling an element of a table that was never set; the engine must trap.

(table $table 8 funcref)
(func $update (call_indirect $table (i32.const 5)))
