;; Attacks the clock with instructions each of which writes 64 MiB, under fuel that lasts for a week; the kill
;; switch must stop it.

(memory $memory 1025)
(func $update
  (loop $again
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
    (br $again)))
