-- The contents that a journal names and does not hold: files of hosts, which go when no journal names them.
CREATE TABLE IF NOT EXISTS datanode.journal_contents (
    run_id text COLLATE "C" NOT NULL REFERENCES datanode.run_journals (run_id) ON DELETE CASCADE,
    digest text COLLATE "C" NOT NULL CHECK (length(digest) = 64),
    PRIMARY KEY (run_id, digest)
);
