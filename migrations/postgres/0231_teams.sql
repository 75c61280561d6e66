-- Teams of users, never removed either.
CREATE TABLE IF NOT EXISTS datanode.teams (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid         text   COLLATE "C" NOT NULL UNIQUE,
    name        text   COLLATE "C" NOT NULL UNIQUE,
    description text   NOT NULL,
    created_at  bigint NOT NULL
);
