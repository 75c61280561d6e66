CREATE INDEX IF NOT EXISTS runs_by_table ON datanode.runs (table_uid, started_at, run_id);
