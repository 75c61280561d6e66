;; Attacks the import policy by hiding an import in a component within the component; what nobody provides must be
;; refused.

(component
  (component $inner
    (import "wasi:sockets/tcp@0.2.12" (instance)))
  (instance (instantiate $inner))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
