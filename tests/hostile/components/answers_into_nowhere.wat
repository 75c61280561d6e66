;; Attacks the memory of the host by an address for an answer that is not its own; the engine must trap before it
;; is written.

(func $update
  (call $reader_next (call $open_self) (i32.const -8)))
