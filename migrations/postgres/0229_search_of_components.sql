DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'datanode.components'::regclass AND tgname = 'search_changed') THEN
        CREATE CONSTRAINT TRIGGER search_changed AFTER INSERT OR DELETE OR UPDATE OF enabled, manifest ON datanode.components
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION datanode.search_changed();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'datanode.component_docs'::regclass AND tgname = 'search_changed') THEN
        CREATE CONSTRAINT TRIGGER search_changed AFTER INSERT OR UPDATE ON datanode.component_docs
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION datanode.search_changed();
    END IF;
END $$;
