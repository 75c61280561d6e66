;; Attacks the host by asking it for code: a core module, and a component from a web address; the import policy
;; must refuse both.

(component
  (import "helper" (core module))
  (import "url=<https://example.org/evil.wasm>" (component))
  (import "unlocked-dep=<evil:corp@{>=1.0.0}>" (component))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
