;; Attacks determinism with memory that threads share; the validator must refuse it.

(component
  (core module (memory 1 1 shared))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
