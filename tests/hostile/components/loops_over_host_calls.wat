;; Attacks the run by asking for an option for ever; the limit on host calls must stop it.

(func $update
  (loop $again
    (call $option (global.get $ok) (i32.const 4) (global.get $answer))
    (br $again)))
