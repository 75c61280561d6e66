CREATE TABLE IF NOT EXISTS datanode.team_members (
    team_uid text   COLLATE "C" NOT NULL REFERENCES datanode.teams (uid),
    user_uid text   COLLATE "C" NOT NULL REFERENCES datanode.users (uid),
    added_at bigint NOT NULL,
    PRIMARY KEY (team_uid, user_uid)
);
