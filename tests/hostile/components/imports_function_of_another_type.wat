;; Attacks the contract below the names: a function of it with other arguments; linking must refuse it.

(component
  (import "datanode:node/frames@0.1.0" (instance
    (export "emit" (func (param "address" u64) (result u64)))))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
