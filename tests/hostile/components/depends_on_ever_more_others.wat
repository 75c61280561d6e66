;; Attacks the catalogue with a tree of dependencies of a thousand nodes and more: on itself, ten times, each with
;; another letter in its config; the limit on nodes must refuse it.

(data (i32.const 1024) "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"string\",\"default\":\"\"},\"table\":{\"type\":\"string\",\"default\":\"out\",\"x-table-reference\":true}}}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 1024))
  (i32.store offset=28 (global.get $manifest) (i32.const 134))
  (global.get $manifest))
(data (i32.const 0) "abcdefghijdepends_on_ever_more_othersout")
(func $dependencies (param $config i32) (param $length i32) (result i32)
  (local $number i32) (local $entry i32) (local $text i32)
  ;; Three letters deep, for a chain has a limit of its own.
  (if (i32.ge_u (local.get $length) (i32.const 25)) (then (return (global.get $ok))))
  (loop $next
    (local.set $entry (i32.add (i32.const 4096) (i32.mul (local.get $number) (i32.const 36))))
    (local.set $text (i32.add (i32.const 8192) (i32.mul (local.get $number) (i32.const 256))))
    ;; The config is {"n":"acb","table":"out"}, and this one has its own letter more.
    (memory.copy (local.get $text) (local.get $config) (i32.const 6))
    (i32.store8 offset=6 (local.get $text) (i32.add (local.get $number) (i32.const 0x61)))
    (memory.copy
      (i32.add (local.get $text) (i32.const 7))
      (i32.add (local.get $config) (i32.const 6))
      (i32.sub (local.get $length) (i32.const 6)))
    (i32.store (local.get $entry) (local.get $number))
    (i32.store offset=4 (local.get $entry) (i32.const 1))
    (i32.store offset=12 (local.get $entry) (i32.const 10))
    (i32.store offset=16 (local.get $entry) (i32.const 27))
    (i32.store offset=20 (local.get $entry) (local.get $text))
    (i32.store offset=24 (local.get $entry) (i32.add (local.get $length) (i32.const 1)))
    (i32.store offset=28 (local.get $entry) (i32.const 37))
    (i32.store offset=32 (local.get $entry) (i32.const 3))
    (local.set $number (i32.add (local.get $number) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $number) (i32.const 10))))
  (i32.store offset=4 (global.get $ok) (i32.const 4096))
  (i32.store offset=8 (global.get $ok) (i32.const 10))
  (global.get $ok))
