-- What lists need of a table, apart from its contract: that is long, and a list of ten thousand tables looks at each of them to
-- see for whom it is. Kept by triggers, so that nobody who writes a contract can forget it.
ALTER TABLE _tables ADD COLUMN listed TEXT;

UPDATE _tables SET listed = json_object(
    'namespace', json_extract(contract, '$.namespace'),
    'kind', coalesce(json_extract(contract, '$.kind'), 'time_indexed'),
    'labels', json(coalesce(json_extract(contract, '$.labels'), '[]')),
    'refers_to', json((SELECT json_group_array(json_extract(k.value, '$.references.table')) FROM json_each(contract, '$.foreign_keys') AS k)));

CREATE TRIGGER _listed_table_added AFTER INSERT ON _tables BEGIN
    UPDATE _tables SET listed = json_object(
        'namespace', json_extract(contract, '$.namespace'),
        'kind', coalesce(json_extract(contract, '$.kind'), 'time_indexed'),
        'labels', json(coalesce(json_extract(contract, '$.labels'), '[]')),
        'refers_to', json((SELECT json_group_array(json_extract(k.value, '$.references.table')) FROM json_each(contract, '$.foreign_keys') AS k)))
    WHERE uid = NEW.uid;
END;
CREATE TRIGGER _listed_table_changed AFTER UPDATE OF contract ON _tables BEGIN
    UPDATE _tables SET listed = json_object(
        'namespace', json_extract(contract, '$.namespace'),
        'kind', coalesce(json_extract(contract, '$.kind'), 'time_indexed'),
        'labels', json(coalesce(json_extract(contract, '$.labels'), '[]')),
        'refers_to', json((SELECT json_group_array(json_extract(k.value, '$.references.table')) FROM json_each(contract, '$.foreign_keys') AS k)))
    WHERE uid = NEW.uid;
END;

-- All that a list reads of a table: its contract is never paged through.
CREATE INDEX _tables_listed ON _tables (identifier, physical_name, owner, listed);

-- The same of what clients of the compatible API say of a table, without the contract as they wrote it.
ALTER TABLE _registrations ADD COLUMN said TEXT;
UPDATE _registrations SET said = json_remove(document, '$.written');
CREATE INDEX _registrations_said ON _registrations (table_uid, said);
