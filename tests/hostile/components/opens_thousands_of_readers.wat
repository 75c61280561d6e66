;; Attacks the memory of the host by opening readers without end and keeping all; the limit on open handles must
;; stop it.

(func $update
  (loop $again
    (drop (call $open_self))
    (br $again)))
