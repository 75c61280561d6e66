CREATE INDEX IF NOT EXISTS backfill_windows_by_status ON datanode.backfill_windows (backfill_uid, status, position);
