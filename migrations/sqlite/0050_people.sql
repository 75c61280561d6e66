-- Users and teams. Neither is ever removed, for the audit log speaks of them; so no number comes again.
CREATE TABLE _users (
    -- A small number, for clients that know users by number.
    id         INTEGER NOT NULL PRIMARY KEY,
    uid        TEXT    NOT NULL UNIQUE,
    username   TEXT    NOT NULL UNIQUE,
    first_name TEXT    NOT NULL,
    last_name  TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    phone      TEXT    NOT NULL,
    enabled    INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE _teams (
    id          INTEGER NOT NULL PRIMARY KEY,
    uid         TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL UNIQUE,
    description TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE _team_members (
    team_uid TEXT    NOT NULL REFERENCES _teams (uid),
    user_uid TEXT    NOT NULL REFERENCES _users (uid),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (team_uid, user_uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX _team_members_by_user ON _team_members (user_uid);

-- Of the secret of a token its salted digest alone is kept.
CREATE TABLE _tokens (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_uid     TEXT    NOT NULL REFERENCES _users (uid),
    name         TEXT    NOT NULL,
    -- Words with commas between them.
    rights       TEXT    NOT NULL,
    hash         TEXT    NOT NULL,
    per_minute   INTEGER CHECK (per_minute > 0),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX _tokens_by_user ON _tokens (user_uid);

-- Who may do what with what. The subject is a namespace, the uid of a table, or nothing.
CREATE TABLE _roles (
    subject_kind TEXT    NOT NULL CHECK (subject_kind IN ('organisation', 'namespace', 'table')),
    subject      TEXT    NOT NULL,
    member_kind  TEXT    NOT NULL CHECK (member_kind IN ('user', 'team')),
    member_uid   TEXT    NOT NULL,
    role         TEXT    NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    granted_at   INTEGER NOT NULL,
    PRIMARY KEY (subject_kind, subject, member_kind, member_uid, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX _roles_by_member ON _roles (member_kind, member_uid);
