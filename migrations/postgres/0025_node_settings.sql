-- How the runs of a node are made: a JSON document, never hashed.
ALTER TABLE datanode.nodes ADD COLUMN IF NOT EXISTS settings text NOT NULL DEFAULT '{}';
