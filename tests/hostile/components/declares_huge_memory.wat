;; Attacks the memory of the host by needing 2 GiB from the start; the limit must refuse to begin.

(memory $memory 32768)
