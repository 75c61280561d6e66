;; Attacks the memory of the host with memories each of which is allowed; the limit must count them together.

(component
  (core module $module
    (memory 2000)
    (func (export "f")))
  (core instance $i0 (instantiate $module))
  (core instance $i1 (instantiate $module))
  (core instance $i2 (instantiate $module))
  (core instance $i3 (instantiate $module))
  (core instance $i4 (instantiate $module))
  (core instance $i5 (instantiate $module))
  (core instance $i6 (instantiate $module))
  (core instance $i7 (instantiate $module))
  (func $f (canon lift (core func $i0 "f")))
  (instance $node
    (export "config" (func $f))
    (export "dependencies" (func $f))
    (export "update" (func $f)))
  (export "datanode:node/node@0.1.0" (instance $node)))
