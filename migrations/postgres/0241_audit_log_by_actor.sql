CREATE INDEX IF NOT EXISTS audit_log_by_actor ON datanode.audit_log (actor);
