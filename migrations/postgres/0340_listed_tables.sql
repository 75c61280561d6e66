-- What lists need of a table, apart from its contract: that is long, and a list of ten thousand tables looks at each of them to
-- see for whom it is. A description may hold U+0000, which jsonb does not take: there a blank stands for it.
ALTER TABLE datanode.tables ADD COLUMN IF NOT EXISTS listed text NOT NULL GENERATED ALWAYS AS (
    '{"namespace":' || coalesce((replace(contract, '\u0000', '\u0020')::jsonb -> 'namespace')::text, 'null')
    || ',"kind":' || coalesce((replace(contract, '\u0000', '\u0020')::jsonb -> 'kind')::text, '"time_indexed"')
    || ',"labels":' || coalesce((replace(contract, '\u0000', '\u0020')::jsonb -> 'labels')::text, '[]')
    || ',"refers_to":'
    || jsonb_path_query_array(replace(contract, '\u0000', '\u0020')::jsonb, '$.foreign_keys[*].references.table')::text
    || '}') STORED;
