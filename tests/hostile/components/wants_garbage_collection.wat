;; Attacks the limits with a heap that the host would have to collect; the validator must refuse it.

(component
  (core module (type (struct (field (mut i32)))))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
