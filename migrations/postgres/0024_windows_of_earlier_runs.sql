-- Nodes that have run before: until now, a window began behind the latest row of its table, and so everything up to there
-- counted as done.
INSERT INTO datanode.node_windows (node_uid, first, last, state, run_id, failures, updated_at)
SELECT DISTINCT ON (r.node_uid) r.node_uid, -62135596800000000, p.latest, 'done', r.run_id, 0, r.started_at
FROM datanode.runs AS r
JOIN (SELECT table_uid, max(max_time) AS latest FROM datanode.progress GROUP BY table_uid) AS p
    ON p.table_uid = r.table_uid
WHERE r.status = 'ok'
ORDER BY r.node_uid, r.started_at DESC, r.run_id DESC
ON CONFLICT DO NOTHING;
