DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'datanode.nodes'::regclass AND tgname = 'search_changed') THEN
        CREATE CONSTRAINT TRIGGER search_changed AFTER INSERT OR DELETE OR UPDATE OF component, pinned_digest ON datanode.nodes
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION datanode.search_changed();
    END IF;
END $$;
