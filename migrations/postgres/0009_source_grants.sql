-- Grants name components, not releases, and may be made before the component is uploaded: no foreign key.
CREATE TABLE IF NOT EXISTS datanode.source_grants (
    source     text   COLLATE "C" NOT NULL REFERENCES datanode.sources (name),
    component  text   COLLATE "C" NOT NULL,
    granted_at bigint NOT NULL,
    PRIMARY KEY (source, component)
);
