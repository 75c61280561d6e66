;; Attacks the users of another component by its name and version; other bytes of a version must be refused.

(data (i32.const 0) "well_behaved")
(func $config (result i32)
  (i32.store offset=0 (global.get $manifest) (i32.const 0))
  (i32.store offset=4 (global.get $manifest) (i32.const 12))
  (global.get $manifest))
