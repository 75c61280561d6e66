;; Attacks the linker with two nodes in one component; the validator must refuse it.

(component
  (instance $one)
  (instance $other)
  (export "datanode:node/node@0.1.0" (instance $one))
  (export "datanode:node/node@0.1.0" (instance $other)))
