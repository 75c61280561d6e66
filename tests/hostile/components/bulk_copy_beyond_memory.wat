;; Attacks the memory of the host by copying a range whose end wraps around; the engine must trap.

(func $update
  (memory.copy (i32.const 0) (i32.const -16) (i32.const 64)))
