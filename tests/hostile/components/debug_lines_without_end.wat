;; Attacks the memory of the host where it explains a trap: a line program of eight million rows; they must not be kept.

(func $update unreachable)
