CREATE OR REPLACE TRIGGER audit_log_keeps_its_entries BEFORE UPDATE OR DELETE ON datanode.audit_log
    FOR EACH ROW EXECUTE FUNCTION datanode.audit_log_refuses();
