-- Whose table it is: of the user who has registered it by a token.
ALTER TABLE datanode.tables ADD COLUMN IF NOT EXISTS owner text COLLATE "C" REFERENCES datanode.users (uid);
