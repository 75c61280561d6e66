;; Attacks the network by asking for HTTP; the import policy must refuse it by name.

(component
  (import "wasi:http/outgoing-handler@0.2.12" (instance))
  (import "wasi:io/poll@0.2.12" (instance))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
