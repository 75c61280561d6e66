;; Attacks the network by asking for sockets; the import policy must refuse it by name.

(component
  (import "wasi:sockets/tcp@0.2.12" (instance))
  (import "wasi:sockets/ip-name-lookup@0.2.12" (instance))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
