;; Attacks the decoder with runs, of which a few bytes say a million rows; it must be refused.

(func $update
  (call $emit_runs_schema))
