-- Tables are found by what clients of the compatible API call them, too.
CREATE TRIGGER _search_registration_added AFTER INSERT ON _registrations BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.table_uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_registration_changed AFTER UPDATE ON _registrations BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.table_uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
-- Searches know whose a table is, for owners see theirs.
CREATE TRIGGER _search_owner_changed AFTER UPDATE OF owner ON _tables BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
