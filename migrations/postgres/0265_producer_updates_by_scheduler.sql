CREATE INDEX IF NOT EXISTS producer_updates_by_scheduler ON datanode.producer_updates (scheduler_uid);
