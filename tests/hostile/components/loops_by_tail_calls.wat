;; Attacks the clock without a loop and without a stack, by tail calls; fuel must count them.

(func $tick (return_call $tock))
(func $tock (return_call $tick))
(func $update (call $tick))
