;; Attacks the engine with exceptions, which it was built without; the validator must refuse it.

(component
  (core module (tag))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
