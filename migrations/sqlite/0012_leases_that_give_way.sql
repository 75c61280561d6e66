-- Whether a lease is that of a window of a backfill, which gives way to other runs; and until when a run that waits for
-- the node keeps such windows from claiming it, by the clock of the database.
ALTER TABLE _leases ADD COLUMN gives_way INTEGER NOT NULL DEFAULT 0 CHECK (gives_way IN (0, 1));
ALTER TABLE _leases ADD COLUMN wanted_until INTEGER NOT NULL DEFAULT 0;
