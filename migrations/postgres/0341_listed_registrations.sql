-- What clients of the compatible API say of a table, without the contract as they wrote it: lists read it of every table.
ALTER TABLE datanode.registrations ADD COLUMN IF NOT EXISTS said text NOT NULL GENERATED ALWAYS AS (
    (replace(document, '\u0000', '\u0020')::jsonb - 'written')::text) STORED;
