-- Until when a run that waits for a node keeps windows of backfills from claiming it, by the clock of the database.
ALTER TABLE datanode.leases ADD COLUMN IF NOT EXISTS wanted_until bigint NOT NULL DEFAULT 0;
