-- Events that are committed together with the change they tell of, on their way to Kafka.
--
-- A relay takes a bucket (an advisory lock), publishes its rows in the order of their ids, and deletes them
-- once the broker has them. It never asks for ids greater than the last one: transactions commit in
-- another order than they draw ids, and a late committer would be skipped for ever.
--
-- Order within a key: two transactions that write the same key must exclude each other, as they do when
-- both first change the row the event is about. Then the order of ids is the order of commits.

CREATE TABLE app.outbox (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     uuid NOT NULL REFERENCES app.tenants (id),
    topic         text NOT NULL,
    -- The Kafka key.
    key           text NOT NULL,
    -- Equal keys share a bucket, so one relay at a time handles a key.
    bucket        smallint NOT NULL GENERATED ALWAYS AS ((abs(hashtext(key) % 64))::smallint) STORED,
    -- The CloudEvents type, or the name of the entity on a compacted topic.
    type          text NOT NULL,
    -- json, not jsonb: the bytes go out as they came in. NULL deletes the key of a compacted topic.
    payload       json,
    headers       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(headers) = 'object'),
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Set when the broker refuses this record for good; it waits here for a person and blocks nobody.
    parked_at     timestamptz,
    parked_reason text
);

CREATE INDEX outbox_waiting ON app.outbox (bucket, id) WHERE parked_at IS NULL;
CREATE INDEX outbox_tenant ON app.outbox (tenant_id, id);

ALTER TABLE app.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.outbox
    USING (tenant_id = (SELECT app.tid())) WITH CHECK (tenant_id = (SELECT app.tid()));
-- The relay works for all tenants at once, and its role can touch nothing but this table.
CREATE POLICY relay ON app.outbox TO voice_relay USING (true) WITH CHECK (true);

GRANT INSERT ON app.outbox TO voice_api, voice_worker;
GRANT SELECT, DELETE, UPDATE (parked_at, parked_reason) ON app.outbox TO voice_relay;

-- Wakes the relays at commit: one notification per transaction, however many rows.
CREATE FUNCTION app.notify_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('outbox', '');
    RETURN NULL;
END $$;
CREATE TRIGGER notify_outbox AFTER INSERT ON app.outbox FOR EACH STATEMENT EXECUTE FUNCTION app.notify_outbox();
