-- Rows that wait for the commit of an update: messages of Arrow. The same that is sent twice is kept once.
CREATE TABLE IF NOT EXISTS datanode.producer_uploads (
    run_id    text   COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    digest    text   COLLATE "C" NOT NULL,
    row_count bigint NOT NULL CHECK (row_count >= 0),
    size      bigint NOT NULL CHECK (size >= 0),
    rows      bytea  NOT NULL,
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, digest)
);
