;; Attacks whoever uploads it by describing itself for ever; the limit on the fuel of a description must stop it.

(func $config (result i32)
  (loop $again (br $again))
  unreachable)
