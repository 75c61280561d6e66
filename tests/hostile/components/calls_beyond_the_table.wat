;; Attacks the control flow by calling an element that its table does not have; the engine must trap.

(table $table 8 funcref)
(func $update (call_indirect $table (i32.const -1)))
