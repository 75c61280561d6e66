;; Attacks the limits with two memories in one module; the validator must refuse it.

(component
  (core module (memory 1) (memory 1))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
