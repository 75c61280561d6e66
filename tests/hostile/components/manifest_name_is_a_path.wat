;; Attacks the files of the host with a name that is a path; the rule for names must refuse it.

(data (i32.const 0) "../../etc/passwd")
(func $config (result i32)
  (i32.store offset=0 (global.get $manifest) (i32.const 0))
  (i32.store offset=4 (global.get $manifest) (i32.const 16))
  (global.get $manifest))
