CREATE INDEX IF NOT EXISTS backfills_by_node ON datanode.backfills (node_uid);
