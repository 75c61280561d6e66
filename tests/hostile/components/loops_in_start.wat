;; Attacks whoever uploads it before it is asked anything, in the start function; the same limit must stop it.

(func $forever (loop $again (br $again)))
(start $forever)
