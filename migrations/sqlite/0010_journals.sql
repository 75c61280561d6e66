-- What the guest of a run was given, call by call: compressed JSON lines, from which the run can be executed again.
-- Apart from _runs, so that listing runs never pages through them.
CREATE TABLE _run_journals (
    run_id   TEXT NOT NULL PRIMARY KEY REFERENCES _runs (run_id),
    document BLOB NOT NULL
) STRICT;

-- The contents that a journal names and does not hold: files beside the database, which go when no journal names them.
CREATE TABLE _journal_contents (
    run_id TEXT NOT NULL REFERENCES _run_journals (run_id) ON DELETE CASCADE,
    digest TEXT NOT NULL CHECK (length(digest) = 64),
    PRIMARY KEY (run_id, digest)
) STRICT, WITHOUT ROWID;
