;; Attacks the memory of the host with a table of a million functions; the limit must refuse to begin.

(table $table 1000000 funcref)
