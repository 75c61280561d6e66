CREATE INDEX IF NOT EXISTS audit_log_by_subject ON datanode.audit_log (subject_uid);
