;; Attacks the caller: the functions of a node, none of which takes or answers what the contract says; the first
;; call must be refused.

(component
  (core module $module (func (export "f")))
  (core instance $core (instantiate $module))
  (func $f (canon lift (core func $core "f")))
  (instance $node
    (export "config" (func $f))
    (export "dependencies" (func $f))
    (export "update" (func $f)))
  (export "datanode:node/node@0.1.0" (instance $node)))
