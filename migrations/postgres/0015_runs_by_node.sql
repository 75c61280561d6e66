CREATE INDEX IF NOT EXISTS runs_by_node ON datanode.runs (node_uid, started_at, run_id);
