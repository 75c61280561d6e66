-- Backfills: what was asked for, a JSON document, and what was said of each since.
CREATE TABLE _backfills (
    uid          TEXT    NOT NULL PRIMARY KEY,
    node_uid     TEXT    NOT NULL REFERENCES _nodes (uid),
    table_uid    TEXT    NOT NULL REFERENCES _tables (uid),
    request      TEXT    NOT NULL,
    control      TEXT    NOT NULL CHECK (control IN ('go', 'pause', 'cancel')),
    -- One window at a time, in their order: the node reads what it has written.
    is_ordered   INTEGER NOT NULL CHECK (is_ordered IN (0, 1)),
    -- How often its commits have raised the epoch of the table.
    raised       INTEGER NOT NULL CHECK (raised >= 0),
    -- Until when a process that works on it is believed to be there, by the clock of the database.
    worked_until INTEGER,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX _backfills_by_node ON _backfills (node_uid);

-- The windows of each, both ends inclusive. A window that is running is its run's until `expires_at`, by the clock of the
-- database; then another run may take it over, and a commit of the first is refused.
CREATE TABLE _backfill_windows (
    backfill_uid   TEXT    NOT NULL REFERENCES _backfills (uid),
    position       INTEGER NOT NULL CHECK (position > 0),
    first          INTEGER NOT NULL,
    last           INTEGER NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'done', 'empty', 'failed')),
    attempts       INTEGER NOT NULL CHECK (attempts >= 0),
    -- The last run over it. Its record is written when it ends.
    run_id         TEXT,
    holder         TEXT,
    expires_at     INTEGER,
    started_at     INTEGER,
    finished_at    INTEGER,
    rows_inserted  INTEGER NOT NULL DEFAULT 0,
    rows_updated   INTEGER NOT NULL DEFAULT 0,
    rows_unchanged INTEGER NOT NULL DEFAULT 0,
    error_code     TEXT,
    error_message  TEXT,
    PRIMARY KEY (backfill_uid, position),
    CHECK (first <= last),
    CHECK ((status = 'running') = (expires_at IS NOT NULL)),
    CHECK ((status = 'failed') = (error_code IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX _backfill_windows_by_status ON _backfill_windows (backfill_uid, status, position);
