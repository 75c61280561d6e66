-- Requests that came with a key of their sender, and what was answered: the same again is answered the same, and done once.
CREATE TABLE IF NOT EXISTS datanode.keyed_requests (
    caller     text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    digest     text COLLATE "C" NOT NULL,
    -- Who works on it, and until when nobody else does.
    attempt    text COLLATE "C" NOT NULL,
    held_until bigint NOT NULL,
    created_at bigint NOT NULL,
    -- The answer, once there is one.
    status     integer,
    headers    text,
    body       bytea,
    PRIMARY KEY (caller, key)
);
