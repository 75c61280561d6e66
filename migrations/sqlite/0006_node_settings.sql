-- How the runs of a node are made: a JSON document, never hashed.
ALTER TABLE _nodes ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
