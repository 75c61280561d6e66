-- Users. None is ever removed, for the audit log speaks of them.
CREATE TABLE IF NOT EXISTS datanode.users (
    -- A small number, for clients that know users by number.
    id         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid        text    COLLATE "C" NOT NULL UNIQUE,
    username   text    COLLATE "C" NOT NULL UNIQUE,
    first_name text    NOT NULL,
    last_name  text    NOT NULL,
    email      text    NOT NULL,
    phone      text    NOT NULL,
    enabled    boolean NOT NULL DEFAULT true,
    created_at bigint  NOT NULL
);
