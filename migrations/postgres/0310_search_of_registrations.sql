-- Tables are found by what clients of the compatible API call them, too.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'datanode.registrations'::regclass AND tgname = 'search_changed') THEN
        CREATE CONSTRAINT TRIGGER search_changed AFTER INSERT OR UPDATE ON datanode.registrations
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION datanode.search_changed();
    END IF;
END $$;
