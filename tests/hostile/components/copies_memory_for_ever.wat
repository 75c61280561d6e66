;; Attacks the clock with instructions each of which moves 64 MiB, under fuel that lasts for a week; the kill
;; switch must stop it.

(memory $memory 1100)
(func $update
  (loop $again
    (memory.copy (i32.const 8) (i32.const 0) (i32.const 0x4000000))
    (br $again)))
