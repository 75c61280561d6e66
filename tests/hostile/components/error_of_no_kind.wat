;; Attacks the host with an answer that is neither good nor an error; the engine must trap.

(func $update (result i32)
  (i32.store8 (global.get $answer) (i32.const 7))
  (global.get $answer))
