;; Attacks the address space with 64-bit memory; the validator must refuse it.

(component
  (core module (memory i64 1))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
