CREATE INDEX IF NOT EXISTS producer_schedulers_by_time ON datanode.producer_schedulers (seen_at);
