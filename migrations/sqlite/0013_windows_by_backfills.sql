-- Whether the last run over a window was that of a backfill.
ALTER TABLE _node_windows ADD COLUMN is_backfill INTEGER NOT NULL DEFAULT 0 CHECK (is_backfill IN (0, 1));
