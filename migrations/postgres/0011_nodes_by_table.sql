CREATE INDEX IF NOT EXISTS nodes_by_table ON datanode.nodes (table_uid);
