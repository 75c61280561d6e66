-- Of the secret of a token its salted digest alone is kept.
CREATE TABLE IF NOT EXISTS datanode.tokens (
    id           text   COLLATE "C" NOT NULL PRIMARY KEY,
    user_uid     text   COLLATE "C" NOT NULL REFERENCES datanode.users (uid),
    name         text   NOT NULL,
    -- Words with commas between them.
    rights       text   NOT NULL,
    hash         text   NOT NULL,
    per_minute   bigint CHECK (per_minute > 0),
    created_at   bigint NOT NULL,
    expires_at   bigint,
    revoked_at   bigint,
    last_used_at bigint
);
