;; Attacks the list of imports by naming one twice; the validator must refuse it.

(component
  (import "datanode:node/log@0.1.0" (instance))
  (import "datanode:node/log@0.1.0" (instance))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
