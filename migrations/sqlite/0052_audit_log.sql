-- Who has changed what in the catalogue. An entry is written in the transaction of its change, and stays.
CREATE TABLE _audit_log (
    id           INTEGER NOT NULL PRIMARY KEY,
    at           INTEGER NOT NULL,
    -- The user's name then, or `local`.
    actor        TEXT    NOT NULL,
    user_uid     TEXT,
    token        TEXT,
    action       TEXT    NOT NULL,
    subject_kind TEXT    NOT NULL,
    subject_uid  TEXT,
    subject      TEXT    NOT NULL,
    -- A JSON object.
    detail       TEXT    NOT NULL,
    request_id   TEXT
) STRICT;

CREATE INDEX _audit_log_by_subject ON _audit_log (subject_uid);

CREATE INDEX _audit_log_by_actor ON _audit_log (actor);

CREATE TRIGGER _audit_log_keeps_its_words BEFORE UPDATE ON _audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: its entries cannot be changed');
END;

CREATE TRIGGER _audit_log_keeps_its_entries BEFORE DELETE ON _audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: its entries cannot be removed');
END;

-- What `INSERT OR REPLACE` removes, no trigger for `DELETE` is told of.
CREATE TRIGGER _audit_log_replaces_nothing BEFORE INSERT ON _audit_log
WHEN EXISTS (SELECT 1 FROM _audit_log WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only: its entries cannot be replaced');
END;
