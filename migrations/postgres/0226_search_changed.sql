-- Counts a change, and marks the tables concerned. Called at the end of a transaction, by triggers that wait until then: the
-- row with the number is locked only while the transaction commits, and so revisions grow in the order of the commits. Who
-- has read all up to a revision has missed nothing before it.
CREATE OR REPLACE FUNCTION datanode.search_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
BEGIN
    UPDATE datanode.search_revision SET revision = revision + 1 RETURNING revision INTO reached;
    IF TG_TABLE_NAME = 'tables' THEN
        INSERT INTO datanode.search_marks (table_uid, revision)
        VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.uid ELSE NEW.uid END, reached)
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
    ELSIF TG_TABLE_NAME IN ('nodes', 'registrations') THEN
        INSERT INTO datanode.search_marks (table_uid, revision)
        VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.table_uid ELSE NEW.table_uid END, reached)
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
    ELSIF TG_TABLE_NAME = 'components' THEN
        INSERT INTO datanode.search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, reached FROM datanode.nodes AS n
        WHERE n.component = CASE TG_OP WHEN 'DELETE' THEN OLD.name ELSE NEW.name END
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
    ELSE
        INSERT INTO datanode.search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, reached
        FROM datanode.nodes AS n JOIN datanode.components AS c ON c.name = n.component
        WHERE c.digest = NEW.digest
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
    END IF;
    RETURN NULL;
END $$;
