-- People to call: contacts and their numbers, what they consented to, who must not be called, lists, imports.
--
-- Names, addresses and numbers stay in these tables: events, logs and the analytical store know a person by
-- contact_id and a number by its token, the HMAC of its E.164 form under the tenant's key (its 128 bits,
-- held as a uuid).
--
-- Tables of many rows name their tenant through the contact or import they belong to, and not a second time:
-- a foreign key is checked for every row of an import.

-- Clients inside a tenant, on whose behalf campaigns call: a softer boundary, within which a "do not call"
-- can be limited.
CREATE TABLE app.companies (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    version    bigint NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX companies_name ON app.companies (tenant_id, lower(name));

CREATE TABLE app.contacts (
    tenant_id   uuid NOT NULL REFERENCES app.tenants (id),
    id          uuid NOT NULL,
    company_id  uuid,
    -- What the customer's own systems call the person.
    external_id text CHECK (length(external_id) BETWEEN 1 AND 200),
    first_name  text CHECK (length(first_name) BETWEEN 1 AND 200),
    last_name   text CHECK (length(last_name) BETWEEN 1 AND 200),
    email       text CHECK (length(email) BETWEEN 3 AND 254),
    locale      text CHECK (length(locale) BETWEEN 2 AND 35),
    -- The person's own, when it is known; evidence for calling hours, beside the number's.
    timezone    text CHECK (length(timezone) BETWEEN 1 AND 64),
    tier        text CHECK (length(tier) BETWEEN 1 AND 50),
    -- Whatever else the customer knows, by the names of the customer.
    attributes  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    -- archived: out of sight, not called. erased: the person asked to be forgotten; the row keeps history whole.
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived', 'erased')),
    erased_at   timestamptz,
    version     bigint NOT NULL DEFAULT 1,
    created_by  uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT contacts_external_id UNIQUE (tenant_id, external_id),
    FOREIGN KEY (tenant_id, company_id) REFERENCES app.companies (tenant_id, id),
    CONSTRAINT contacts_erased CHECK ((status = 'erased') = (erased_at IS NOT NULL)),
    CONSTRAINT contacts_erased_is_empty CHECK (status <> 'erased' OR (external_id IS NULL AND first_name IS NULL
        AND last_name IS NULL AND email IS NULL AND attributes = '{}'))
);
CREATE INDEX contacts_email ON app.contacts (tenant_id, lower(email)) WHERE email IS NOT NULL;

-- The numbers of a contact. Several contacts may share one.
CREATE TABLE app.contact_phones (
    tenant_id  uuid NOT NULL,
    contact_id uuid NOT NULL,
    e164       text NOT NULL CHECK (e164 ~ '^\+[1-9][0-9]{6,14}$'),
    token      uuid NOT NULL,
    -- Where the number plan places it (ISO 3166-1); NULL where it names no country.
    region     text CHECK (region ~ '^[A-Z]{2}$'),
    -- What the number plan says it is.
    kind       text NOT NULL DEFAULT 'unknown'
               CHECK (kind IN ('fixed', 'mobile', 'fixed_or_mobile', 'voip', 'toll_free', 'other', 'unknown')),
    -- The number to try first, and what identifies a contact without an external id.
    is_primary boolean NOT NULL DEFAULT false,
    -- False once a carrier said that it does not exist.
    valid      boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, contact_id, e164),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES app.contacts (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX contact_phones_token ON app.contact_phones (tenant_id, token);
CREATE UNIQUE INDEX contact_phones_primary ON app.contact_phones (tenant_id, contact_id) WHERE is_primary;

-- A ledger: one row per statement, never changed; what holds is the newest.
CREATE TABLE app.consents (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    contact_id  uuid NOT NULL,
    type        text NOT NULL CHECK (type IN ('recording', 'transcription', 'ai_processing', 'data_storage',
                                              'marketing', 'analytics')),
    status      text NOT NULL CHECK (status IN ('granted', 'denied', 'withdrawn', 'expired', 'pending')),
    purpose     text CHECK (length(purpose) BETWEEN 1 AND 200),
    -- NULL is every channel.
    channel     text CHECK (channel IN ('voice', 'sms', 'email')),
    -- How it was obtained: "web form 2026-03", "call".
    source      text CHECK (length(source) BETWEEN 1 AND 200),
    -- What proves it: an import and its line, a call, a document.
    evidence    jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(evidence) = 'object'),
    captured_at timestamptz NOT NULL,
    expires_at  timestamptz,
    created_by  uuid,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    -- The same statement told twice is one.
    CONSTRAINT consents_statement UNIQUE NULLS NOT DISTINCT
        (tenant_id, contact_id, type, captured_at, status, channel, purpose, source),
    FOREIGN KEY (tenant_id, contact_id) REFERENCES app.contacts (tenant_id, id) ON DELETE CASCADE
);

-- Who must not be called, by token: it outlives the erasure of the person.
CREATE TABLE app.suppressions (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    token      uuid NOT NULL,
    scope      text NOT NULL CHECK (scope IN ('tenant', 'company', 'campaign')),
    -- The company or the campaign.
    scope_id   uuid,
    reason     text NOT NULL CHECK (reason IN ('opt_out', 'withdrawn', 'do_not_call_list', 'complaint', 'wrong_number',
                                               'erased', 'other')),
    expires_at timestamptz,
    version    bigint NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT suppressions_token UNIQUE NULLS NOT DISTINCT (tenant_id, token, scope, scope_id),
    CONSTRAINT suppressions_scope CHECK ((scope = 'tenant') = (scope_id IS NULL))
);

CREATE TABLE app.call_lists (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    company_id uuid,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- static: its members are rows. dynamic: its members are whom the filter finds.
    kind       text NOT NULL DEFAULT 'static' CHECK (kind IN ('static', 'dynamic')),
    filter     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(filter) = 'object'),
    sort       jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(sort) = 'array'),
    version    bigint NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT call_lists_name UNIQUE (tenant_id, name),
    FOREIGN KEY (tenant_id, company_id) REFERENCES app.companies (tenant_id, id)
);

-- One file brought into one list. The counters, the place in the file and the contacts of a batch are
-- committed together, so whoever continues an import continues exactly there.
CREATE TABLE app.imports (
    tenant_id       uuid NOT NULL REFERENCES app.tenants (id),
    id              uuid NOT NULL,
    list_id         uuid NOT NULL,
    kind            text NOT NULL DEFAULT 'contacts' CHECK (kind IN ('contacts')),
    file_name       text NOT NULL CHECK (length(file_name) BETWEEN 1 AND 255),
    file_sha256     bytea NOT NULL CHECK (length(file_sha256) = 32),
    file_bytes      bigint NOT NULL CHECK (file_bytes >= 0),
    -- Which column became what, and how the file was read.
    mapping         jsonb NOT NULL CHECK (jsonb_typeof(mapping) = 'array'),
    options         jsonb NOT NULL CHECK (jsonb_typeof(options) = 'object'),
    state           text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed')),
    -- A stable label, on failed imports.
    failure         text,
    rows_read       bigint NOT NULL DEFAULT 0,
    rows_created    bigint NOT NULL DEFAULT 0 CHECK (rows_created >= 0),
    rows_updated    bigint NOT NULL DEFAULT 0 CHECK (rows_updated >= 0),
    rows_duplicate  bigint NOT NULL DEFAULT 0 CHECK (rows_duplicate >= 0),
    rows_invalid    bigint NOT NULL DEFAULT 0 CHECK (rows_invalid >= 0),
    rows_suppressed bigint NOT NULL DEFAULT 0 CHECK (rows_suppressed >= 0),
    -- How often each code was given.
    faults          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(faults) = 'object'),
    -- How far the file was read, and how long the error file was then.
    bytes_read      bigint NOT NULL DEFAULT 0 CHECK (bytes_read BETWEEN 0 AND file_bytes),
    errors_bytes    bigint NOT NULL DEFAULT 0 CHECK (errors_bytes >= 0),
    started_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    version         bigint NOT NULL DEFAULT 1,
    created_by      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT imports_counters_add_up CHECK
        (rows_read = rows_created + rows_updated + rows_duplicate + rows_invalid + rows_suppressed),
    CONSTRAINT imports_finished CHECK ((state = 'running') = (finished_at IS NULL)),
    CONSTRAINT imports_failure CHECK ((state = 'failed') = (failure IS NOT NULL)),
    FOREIGN KEY (tenant_id, list_id) REFERENCES app.call_lists (tenant_id, id)
);
CREATE INDEX imports_newest ON app.imports (tenant_id, created_at DESC, id);
-- A file is brought into a list by one import at a time; the same file again is that import, continued.
CREATE UNIQUE INDEX imports_running ON app.imports (tenant_id, list_id, file_sha256) WHERE state = 'running';

-- What an import could not take: the first rows of it; all of it stands in the error file.
CREATE TABLE app.import_rows_rejected (
    tenant_id    uuid NOT NULL,
    import_id    uuid NOT NULL,
    number       integer NOT NULL CHECK (number > 0),
    -- Where the row begins in the file.
    line         bigint NOT NULL CHECK (line > 0),
    -- NULL when it is about the whole row.
    column_name  text,
    code         text NOT NULL,
    -- What became of the row: noted rows were taken, without the value.
    outcome      text NOT NULL CHECK (outcome IN ('invalid', 'duplicate', 'suppressed', 'noted')),
    -- Its shape, not its content: letters as x, digits as 9.
    value_masked text,
    PRIMARY KEY (tenant_id, import_id, number),
    FOREIGN KEY (tenant_id, import_id) REFERENCES app.imports (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE app.call_list_members (
    tenant_id  uuid NOT NULL,
    list_id    uuid NOT NULL,
    contact_id uuid NOT NULL,
    priority   smallint NOT NULL DEFAULT 50 CHECK (priority BETWEEN 0 AND 100),
    -- The import that named the contact last: a second row about the same person is known by it. No foreign
    -- key, since imports may be forgotten.
    import_id  uuid,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, list_id, contact_id),
    FOREIGN KEY (tenant_id, list_id) REFERENCES app.call_lists (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, contact_id) REFERENCES app.contacts (tenant_id, id) ON DELETE CASCADE
    -- Every import of the list writes import_id: room beside the row spares the index.
) WITH (fillfactor = 80);
CREATE INDEX call_list_members_contact ON app.call_list_members (tenant_id, contact_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['companies', 'contacts', 'contact_phones', 'consents', 'suppressions', 'call_lists',
        'call_list_members', 'imports', 'import_rows_rejected'] LOOP
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON app.%I
            USING (tenant_id = (SELECT app.tid())) WITH CHECK (tenant_id = (SELECT app.tid()))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['companies', 'contacts', 'suppressions', 'call_lists', 'imports'] LOOP
        EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON app.%I FOR EACH ROW EXECUTE FUNCTION app.touch()', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON app.companies, app.contact_phones, app.suppressions, app.call_lists,
    app.call_list_members TO voice_api;
-- A contact is archived or erased, never deleted: calls point at it.
GRANT SELECT, INSERT, UPDATE ON app.contacts, app.imports TO voice_api;
GRANT SELECT, INSERT ON app.consents, app.import_rows_rejected TO voice_api;

GRANT SELECT ON app.companies TO voice_worker;
GRANT SELECT, INSERT, UPDATE ON app.contacts, app.contact_phones, app.suppressions, app.call_list_members, app.imports
    TO voice_worker;
GRANT SELECT, INSERT ON app.consents, app.call_lists, app.import_rows_rejected TO voice_worker;

-- Reports count; they do not name anybody.
GRANT SELECT ON app.companies, app.call_lists, app.call_list_members, app.imports TO voice_report;
