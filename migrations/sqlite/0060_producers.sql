-- Producers: what only nodes have that programs elsewhere compute. The node, its lease, its runs and its dependencies are
-- where those of all nodes are.
CREATE TABLE _producers (
    node_uid      TEXT NOT NULL PRIMARY KEY REFERENCES _nodes (uid),
    project_uid   TEXT,
    -- The process that runs it, as far as it has said so.
    scheduler_uid TEXT,
    facts         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX _producers_by_scheduler ON _producers (scheduler_uid);

-- Processes that run producers, as they announce themselves.
CREATE TABLE _producer_schedulers (
    uid     TEXT    NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL,
    made_by TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX _producer_schedulers_by_time ON _producer_schedulers (seen_at);

-- The latest update of each producer. Its record is written among the runs when it ends: until then it is kept here as it
-- stays when nothing ever comes.
CREATE TABLE _producer_updates (
    node_uid      TEXT NOT NULL PRIMARY KEY REFERENCES _nodes (uid),
    run_id        TEXT NOT NULL UNIQUE,
    scheduler_uid TEXT NOT NULL,
    sent_by       TEXT NOT NULL,
    record        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX _producer_updates_by_scheduler ON _producer_updates (scheduler_uid);

-- Rows that wait for the commit of an update: messages of Arrow. The same that is sent twice is kept once.
CREATE TABLE _producer_uploads (
    run_id    TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    digest    TEXT    NOT NULL,
    row_count INTEGER NOT NULL CHECK (row_count >= 0),
    size      INTEGER NOT NULL CHECK (size >= 0),
    rows      BLOB    NOT NULL,
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, digest)
) STRICT;
