CREATE INDEX IF NOT EXISTS roles_by_member ON datanode.roles (member_kind, member_uid);
