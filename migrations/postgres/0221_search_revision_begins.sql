INSERT INTO datanode.search_revision (one, revision) VALUES (1, 0) ON CONFLICT (one) DO NOTHING;
