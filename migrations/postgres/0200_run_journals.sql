-- What the guest of a run was given, call by call: compressed JSON lines, from which the run can be executed again.
CREATE TABLE IF NOT EXISTS datanode.run_journals (
    run_id   text  COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.runs (run_id),
    document bytea NOT NULL
);
