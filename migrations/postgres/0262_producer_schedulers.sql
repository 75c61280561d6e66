-- Processes that run producers, as they announce themselves.
CREATE TABLE IF NOT EXISTS datanode.producer_schedulers (
    uid     text   COLLATE "C" NOT NULL PRIMARY KEY,
    name    text   NOT NULL,
    made_by text   NOT NULL,
    state   text   NOT NULL,
    seen_at bigint NOT NULL
);
