;; Attacks the disk, on which a journal keeps what a guest was given, by asking for the same again and again; the limit on
;; bytes that are read must stop it.

(func $update
  (local $reader i32)
  (local.set $reader (call $open_self))
  (loop $again
    (call $reader_schema (local.get $reader) (global.get $answer))
    (br $again)))
