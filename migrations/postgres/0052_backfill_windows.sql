-- The windows of backfills, both ends inclusive. A window that is running is its run's until `expires_at`, by the clock of
-- the database; then another run may take it over, and a commit of the first is refused.
CREATE TABLE IF NOT EXISTS datanode.backfill_windows (
    backfill_uid   text   COLLATE "C" NOT NULL REFERENCES datanode.backfills (uid),
    position       bigint NOT NULL CHECK (position > 0),
    first          bigint NOT NULL,
    last           bigint NOT NULL,
    status         text   COLLATE "C" NOT NULL CHECK (status IN ('pending', 'running', 'done', 'empty', 'failed')),
    attempts       bigint NOT NULL CHECK (attempts >= 0),
    -- The last run over it. Its record is written when it ends.
    run_id         text   COLLATE "C",
    holder         text,
    expires_at     bigint,
    started_at     bigint,
    finished_at    bigint,
    rows_inserted  bigint NOT NULL DEFAULT 0,
    rows_updated   bigint NOT NULL DEFAULT 0,
    rows_unchanged bigint NOT NULL DEFAULT 0,
    error_code     text,
    error_message  text,
    PRIMARY KEY (backfill_uid, position),
    CHECK (first <= last),
    CHECK ((status = 'running') = (expires_at IS NOT NULL)),
    CHECK ((status = 'failed') = (error_code IS NOT NULL))
);
