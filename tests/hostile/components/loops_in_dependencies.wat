;; Attacks whoever creates a node by looking for dependencies for ever; the limit on the fuel of a description must
;; stop it.

(func $dependencies (param i32 i32) (result i32)
  (loop $again (br $again))
  unreachable)
