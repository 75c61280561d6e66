-- Where a component comes from: a JSON document; none for those that were uploaded before it was kept.
ALTER TABLE _components ADD COLUMN provenance TEXT;
