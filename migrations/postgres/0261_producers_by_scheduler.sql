CREATE INDEX IF NOT EXISTS producers_by_scheduler ON datanode.producers (scheduler_uid);
