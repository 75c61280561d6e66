;; Attacks the memory of the host with data for an address that it does not have; the engine must trap before it
;; writes.

(data (i32.const 0x7fffffff) "beyond")
