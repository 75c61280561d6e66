;; Attacks the clock with instructions that cost one unit of fuel and write 64 MiB; fuel or the kill switch must
;; stop it.

(memory $memory 1025)
(func $update
  (loop $again
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
    (br $again)))
