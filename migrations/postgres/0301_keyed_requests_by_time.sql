CREATE INDEX IF NOT EXISTS keyed_requests_by_time ON datanode.keyed_requests (created_at);
