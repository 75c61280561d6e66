-- When a source was, or will be, asked last that may be asked only so often; by the clock of the database, for all processes.
CREATE TABLE IF NOT EXISTS datanode.source_turns (
    source  text   COLLATE "C" NOT NULL PRIMARY KEY,
    last_at bigint NOT NULL
);
