INSERT INTO datanode.data_source (one, uid) VALUES (1, gen_random_uuid()::text) ON CONFLICT (one) DO NOTHING;
