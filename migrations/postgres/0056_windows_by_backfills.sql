-- Whether the last run over a window was that of a backfill.
ALTER TABLE datanode.node_windows ADD COLUMN IF NOT EXISTS is_backfill boolean NOT NULL DEFAULT false;
