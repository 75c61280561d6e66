-- When a source was, or will be, asked last that may be asked only so often; by the clock of the database, for all processes.
CREATE TABLE _source_turns (
    source  TEXT    NOT NULL PRIMARY KEY,
    last_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
