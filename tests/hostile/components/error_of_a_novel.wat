;; Attacks the record of the run with an error value of two megabytes; it must be cut.

(memory $memory 60)
(func $update (result i32)
  (memory.fill (i32.const 0) (i32.const 0x61) (i32.const 0x40000))
  (memory.fill (i32.const 0x80000) (i32.const 0x61) (i32.const 0x200000))
  (call $say (i32.const 0x80000) (i32.const 0x200000))
  (global.get $author_error))
