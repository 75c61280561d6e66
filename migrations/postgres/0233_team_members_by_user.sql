CREATE INDEX IF NOT EXISTS team_members_by_user ON datanode.team_members (user_uid);
