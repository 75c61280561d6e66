CREATE INDEX IF NOT EXISTS search_marks_by_revision ON datanode.search_marks (revision);
