;; Attacks the catalogue with five thousand dependencies that are nothing; the limit on their number must refuse
;; the node.

(func $dependencies (param i32 i32) (result i32)
  ;; Everything is zero: no key, a node, no component.
  (i32.store offset=4 (global.get $ok) (i32.const 4096))
  (i32.store offset=8 (global.get $ok) (i32.const 5000))
  (global.get $ok))
