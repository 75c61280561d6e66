;; Attacks the memory of the host by emitting bytes that are not its own; the engine must trap before they are
;; read.

(func $update
  (call $emit (i32.const 0xffff0000) (i32.const 0x20000)))
