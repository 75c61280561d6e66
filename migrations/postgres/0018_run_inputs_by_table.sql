CREATE INDEX IF NOT EXISTS run_inputs_by_table ON datanode.run_inputs (table_uid);
