CREATE INDEX IF NOT EXISTS tokens_by_user ON datanode.tokens (user_uid);
