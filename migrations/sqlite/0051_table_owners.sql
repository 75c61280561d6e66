-- Whose table it is: of the user who has registered it by a token.
ALTER TABLE _tables ADD COLUMN owner TEXT REFERENCES _users (uid);
