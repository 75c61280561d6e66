-- Requests that came with a key of their sender, and what was answered: the same again is answered the same, and done once.
CREATE TABLE _keyed_requests (
    caller     TEXT NOT NULL,
    key        TEXT NOT NULL,
    digest     TEXT NOT NULL,
    -- Who works on it, and until when nobody else does.
    attempt    TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- The answer, once there is one.
    status     INTEGER,
    headers    TEXT,
    body       BLOB,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX _keyed_requests_by_time ON _keyed_requests (created_at);
