;; Attacks the memory of the host by growing its own, page by page; the limit must be a trap, never an answer that
;; it could hide.

(func $update
  (loop $again
    (drop (memory.grow (i32.const 16)))
    (br $again)))
