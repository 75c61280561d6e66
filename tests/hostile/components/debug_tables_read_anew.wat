;; Attacks the memory of the host where it explains a trap: thousands of units, each with a large table of its own in the
;; same bytes; they must not all be kept.

(func $update unreachable)
