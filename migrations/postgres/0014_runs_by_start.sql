CREATE INDEX IF NOT EXISTS runs_by_start ON datanode.runs (started_at, run_id);
