;; Attacks the host where it explains a trap: entries of debug information within a million others; it must not follow
;; them on its stack.

(func $update unreachable)
