;; Attacks the contract with interfaces of versions that nobody has released; the import policy must refuse them by
;; name.

(component
  (import "datanode:node/log@0.1.1" (instance))
  (import "datanode:node/frames@1.0.0" (instance))
  (import "datanode:node/sources" (instance))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
