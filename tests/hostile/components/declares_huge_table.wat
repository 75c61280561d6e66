;; Attacks the memory of the host with a table of five million functions; the limit must refuse to begin.

(table $table 5000000 funcref)
