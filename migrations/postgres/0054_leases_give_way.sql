-- Whether a lease is that of a window of a backfill, which gives way to other runs.
ALTER TABLE datanode.leases ADD COLUMN IF NOT EXISTS gives_way boolean NOT NULL DEFAULT false;
