SELECT 1 UNION ALL SELECT count FROM fuzzed EXCEPT SELECT length(id) FROM fuzzed -- comment
