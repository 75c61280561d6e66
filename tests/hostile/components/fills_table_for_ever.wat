;; Attacks the clock with instructions each of which writes a whole table, under fuel that lasts for a week; the
;; kill switch must stop it.

(table $table 50000 funcref)
(func $update
  (loop $again
    (table.fill $table (i32.const 0) (ref.func $again) (i32.const 50000))
    (br $again)))
(func $again)
(elem declare func $again)
