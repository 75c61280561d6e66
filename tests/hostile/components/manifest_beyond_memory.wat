;; Attacks the memory of the host with an answer that lies beyond its own; the engine must trap before it is read.

(func $config (result i32) (i32.const -64))
