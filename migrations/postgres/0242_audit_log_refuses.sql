-- What the audit log answers to whoever would change or remove its entries.
CREATE OR REPLACE FUNCTION datanode.audit_log_refuses() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only: its entries cannot be changed or removed'; END $$;
