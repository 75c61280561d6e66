-- How often anything has changed that a text of a table is made of. Hosts keep what they have read, and ask for this number
-- before each search.
CREATE TABLE _search_revision (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO _search_revision (one, revision) VALUES (1, 0);

-- Which tables have changed, and at which revision last. A table that has gone keeps its row: hosts must hear of it.
CREATE TABLE _search_marks (
    table_uid TEXT    NOT NULL PRIMARY KEY,
    revision  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX _search_marks_by_revision ON _search_marks (revision);

-- What a model has made of the text of a table. It is looked at only while the text is still the same.
CREATE TABLE _search_entries (
    table_uid    TEXT    NOT NULL REFERENCES _tables (uid) ON DELETE CASCADE,
    model_digest TEXT    NOT NULL,
    text_digest  TEXT    NOT NULL,
    text         TEXT    NOT NULL,
    -- Numbers of four bytes, the lowest byte first.
    vector       BLOB    NOT NULL,
    computed_at  INTEGER NOT NULL,
    PRIMARY KEY (table_uid, model_digest)
) STRICT, WITHOUT ROWID;

-- What authors have documented in their components. None: nobody has looked yet.
CREATE TABLE _component_docs (
    digest TEXT NOT NULL PRIMARY KEY REFERENCES _components (digest) ON DELETE CASCADE,
    docs   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER _search_table_added AFTER INSERT ON _tables BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_table_changed AFTER UPDATE OF identifier, contract ON _tables BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_table_gone AFTER DELETE ON _tables BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT OLD.uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_node_added AFTER INSERT ON _nodes BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.table_uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_node_changed AFTER UPDATE OF component, pinned_digest ON _nodes BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT NEW.table_uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_node_gone AFTER DELETE ON _nodes BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision) SELECT OLD.table_uid, revision FROM _search_revision WHERE true
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_component_added AFTER INSERT ON _components BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, r.revision FROM _nodes AS n, _search_revision AS r WHERE n.component = NEW.name
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_component_changed AFTER UPDATE OF enabled, manifest ON _components BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, r.revision FROM _nodes AS n, _search_revision AS r WHERE n.component = NEW.name
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_component_gone AFTER DELETE ON _components BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, r.revision FROM _nodes AS n, _search_revision AS r WHERE n.component = OLD.name
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_docs_read AFTER INSERT ON _component_docs BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, r.revision FROM _nodes AS n JOIN _components AS c ON c.name = n.component, _search_revision AS r
        WHERE c.digest = NEW.digest
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER _search_docs_changed AFTER UPDATE ON _component_docs BEGIN
    UPDATE _search_revision SET revision = revision + 1;
    INSERT INTO _search_marks (table_uid, revision)
        SELECT DISTINCT n.table_uid, r.revision FROM _nodes AS n JOIN _components AS c ON c.name = n.component, _search_revision AS r
        WHERE c.digest = NEW.digest
        ON CONFLICT (table_uid) DO UPDATE SET revision = excluded.revision;
END;
