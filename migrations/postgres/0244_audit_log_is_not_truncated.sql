CREATE OR REPLACE TRIGGER audit_log_is_not_truncated BEFORE TRUNCATE ON datanode.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION datanode.audit_log_refuses();
