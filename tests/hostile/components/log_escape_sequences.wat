;; Attacks the terminal of whoever reads with sequences that clear it, rename it and write a lie; they must be
;; shown, not obeyed.

(data (i32.const 0) "\1b[2J\1b]0;owned\07\0d\1b[32mall is well\1b[0m \u{202e}desrever\u{9b}31m")
(data (i32.const 256) "\00\00\00\00\34\00\00\00\00\00\00\00\34\00\00\00")
(func $update (result i32)
  (call $log (i32.const 3) (i32.const 0) (i32.const 0x34) (i32.const 256) (i32.const 1))
  (call $say (i32.const 0) (i32.const 0x34))
  (global.get $author_error))
