-- How the planner judges a tenant. With a histogram of tenants it takes one that is newer than the last ANALYZE for one
-- that has no rows, and then any index that starts with the tenant looks as good as the right one: the first hour of a
-- large customer would be spent scanning their contacts once for each contact. Without one it takes every tenant for a
-- two-hundredth of the table, and the index that names the row wins whoever the tenant is.

CREATE FUNCTION app.judge_tenants_alike(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE app.%I ALTER COLUMN tenant_id SET STATISTICS 0', name);
END $$;
REVOKE ALL ON FUNCTION app.judge_tenants_alike(text) FROM PUBLIC;

-- Partitions made from now on are judged like their parent, which does not come by itself.
CREATE OR REPLACE FUNCTION app.close_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON app.%I USING (tenant_id = (SELECT app.tid()))
                    WITH CHECK (tenant_id = (SELECT app.tid()))', name);
    PERFORM app.judge_tenants_alike(name);
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'app'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.attname = 'tenant_id' AND NOT a.attisdropped
    LOOP
        PERFORM app.judge_tenants_alike(name);
    END LOOP;
END $$;
