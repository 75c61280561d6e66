;; Attacks whoever creates a node with an error that clears the terminal; it must be shown, not obeyed.

(data (i32.const 0) "\1b[2Jcreated node \1b[32mok\1b[0m\0d\0a")
(func $dependencies (param i32 i32) (result i32)
  (call $say (i32.const 0) (i32.const 30))
  (global.get $author_error))
