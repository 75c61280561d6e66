;; Attacks the contract below the names: an interface of it with a function that it does not have; linking must
;; refuse it.

(component
  (import "datanode:node/log@0.1.0" (instance
    (export "execute" (func (param "command" string)))))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
