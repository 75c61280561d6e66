;; Attacks the host where it explains a trap: a function whose name is that of itself; the search must end.

(func $update unreachable)
