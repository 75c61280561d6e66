-- Searches know whose a table is, for owners see theirs.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'datanode.tables'::regclass AND tgname = 'search_owner_changed') THEN
        CREATE CONSTRAINT TRIGGER search_owner_changed AFTER UPDATE OF owner ON datanode.tables
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION datanode.search_changed();
    END IF;
END $$;
