;; Attacks determinism with instructions that answer differently on different processors; the validator must refuse
;; it.

(component
  (core module
    (func (param v128) (result v128)
      (i32x4.relaxed_trunc_f32x4_s (local.get 0))))
  (instance $node)
  (export "datanode:node/node@0.1.0" (instance $node)))
