-- What a company knows, for AI agents to look things up in: articles, and the passages they are found by.
--
-- Search: the program brings text and question into the same words (workers/src/knowledge), the dictionaries below make
-- stems of them. A passage is found by its stems through one index, and ranked by how rare the stems are in what the
-- tenant has, which app.knowledge_words knows. A word nobody wrote is taken for the one it is one slip away from.

CREATE TABLE app.knowledge_articles (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    id         uuid NOT NULL,
    -- AI agents are allowed whole collections.
    collection text NOT NULL CHECK (collection ~ '^[a-z0-9]([a-z0-9_-]{0,62})$'),
    -- What the customer's own system calls it: the id of a record, the path of a file.
    reference  text NOT NULL CHECK (length(reference) BETWEEN 1 AND 200),
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    body       text NOT NULL CHECK (length(body) BETWEEN 1 AND 200000),
    -- BCP 47, the first part: en, es, cs.
    language   text NOT NULL CHECK (language ~ '^[a-z]{2,3}$'),
    version    bigint NOT NULL DEFAULT 1,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT knowledge_articles_reference UNIQUE (tenant_id, collection, reference)
);

-- What is read to a caller: a paragraph or a few.
CREATE TABLE app.knowledge_passages (
    tenant_id  uuid NOT NULL,
    article_id uuid NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    collection text NOT NULL,
    dictionary text NOT NULL CHECK (dictionary IN ('english', 'spanish', 'simple')),
    title      text NOT NULL,
    text       text NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    -- Stems of the title (A) and the text (B), and the tenant, so that the index leads to passages of one tenant only.
    words      tsvector NOT NULL,
    PRIMARY KEY (tenant_id, article_id, number),
    FOREIGN KEY (tenant_id, article_id) REFERENCES app.knowledge_articles (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX knowledge_passages_words ON app.knowledge_passages USING gin (words) WITH (fastupdate = off);

-- In how many passages of the tenant a stem stands. The tenant's own id stands in all of them.
CREATE TABLE app.knowledge_words (
    tenant_id  uuid NOT NULL REFERENCES app.tenants (id),
    dictionary text NOT NULL CHECK (dictionary IN ('english', 'spanish', 'simple')),
    word       text NOT NULL,
    passages   integer NOT NULL CHECK (passages > 0),
    PRIMARY KEY (tenant_id, dictionary, word)
);

-- Every stem by itself and by what is left when a letter is left out: two words with one such form in common are a slip
-- apart. Plain equality, which row-level security lets an index answer, where similarity of trigrams is not let.
CREATE TABLE app.knowledge_spellings (
    tenant_id  uuid NOT NULL,
    dictionary text NOT NULL,
    form       text NOT NULL,
    word       text NOT NULL,
    -- No foreign key, which would be checked for each of many rows: app.count_knowledge_words writes them, and takes
    -- them away with their word.
    PRIMARY KEY (tenant_id, dictionary, form, word)
);

-- The collections an AI agent may look things up in. Without a row it may look up nothing.
CREATE TABLE app.knowledge_grants (
    tenant_id  uuid NOT NULL,
    agent_id   uuid NOT NULL,
    collection text NOT NULL CHECK (collection ~ '^[a-z0-9]([a-z0-9_-]{0,62})$'),
    PRIMARY KEY (tenant_id, agent_id, collection),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES app.ai_agents (tenant_id, id) ON DELETE CASCADE
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['knowledge_articles', 'knowledge_passages', 'knowledge_words', 'knowledge_spellings',
        'knowledge_grants'] LOOP
        PERFORM app.close_partition(name);
    END LOOP;
END $$;
CREATE POLICY system ON app.knowledge_passages FOR SELECT TO voice_system USING (true);
CREATE TRIGGER touch BEFORE UPDATE ON app.knowledge_articles FOR EACH ROW EXECUTE FUNCTION app.touch();

GRANT SELECT, INSERT, UPDATE, DELETE ON app.knowledge_articles, app.knowledge_passages, app.knowledge_words,
    app.knowledge_spellings, app.knowledge_grants TO voice_api;
GRANT SELECT ON app.knowledge_words, app.knowledge_spellings, app.knowledge_grants TO voice_worker;
GRANT SELECT ON app.knowledge_passages TO voice_system;

CREATE FUNCTION app.knowledge_stems(dictionary text, words text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE dictionary
        WHEN 'english' THEN to_tsvector('pg_catalog.english'::regconfig, words)
        WHEN 'spanish' THEN to_tsvector('pg_catalog.spanish'::regconfig, words)
        ELSE to_tsvector('pg_catalog.simple'::regconfig, words)
    END;

-- A word and what is left of it without one of its letters. Numbers have no spelling.
CREATE FUNCTION app.knowledge_forms(word text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    BEGIN ATOMIC
        SELECT DISTINCT CASE cut WHEN 0 THEN word ELSE overlay(word PLACING '' FROM cut FOR 1) END
        FROM generate_series(0, length(word)) AS cut
        WHERE length(word) BETWEEN 4 AND 30 AND word !~ '[0-9./@]';
    END;

-- Counts the words of the tenant of the transaction anew; whoever changes passages calls it before the commit. Gives how
-- many words came and went.
CREATE FUNCTION app.count_knowledge_words() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    WITH counted AS MATERIALIZED (
        SELECT d.dictionary, s.word, s.ndoc AS passages
        FROM unnest(ARRAY['english', 'spanish', 'simple']) AS d (dictionary),
             ts_stat(format('SELECT words FROM app.knowledge_passages WHERE dictionary = %L', d.dictionary)) AS s
    ), gone AS (
        DELETE FROM app.knowledge_words w
        WHERE NOT EXISTS (SELECT FROM counted c WHERE c.dictionary = w.dictionary AND c.word = w.word)
        RETURNING w.dictionary, w.word
    ), come AS (
        INSERT INTO app.knowledge_words (tenant_id, dictionary, word, passages)
        SELECT app.tid(), c.dictionary, c.word, c.passages FROM counted c
        WHERE NOT EXISTS (SELECT FROM app.knowledge_words w WHERE w.dictionary = c.dictionary AND w.word = c.word)
        RETURNING dictionary, word
    ), recounted AS (
        UPDATE app.knowledge_words w SET passages = c.passages FROM counted c
        WHERE w.dictionary = c.dictionary AND w.word = c.word AND w.passages <> c.passages
    ), forgotten AS (
        DELETE FROM app.knowledge_spellings s USING gone g, app.knowledge_forms(g.word) AS f (form)
        WHERE s.dictionary = g.dictionary AND s.form = f.form AND s.word = g.word
    ), learned AS (
        INSERT INTO app.knowledge_spellings (tenant_id, dictionary, form, word)
        SELECT app.tid(), c.dictionary, f.form, c.word FROM come c, app.knowledge_forms(c.word) AS f (form)
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM come) INTO changed;
    RETURN changed;
END $$;
REVOKE ALL ON FUNCTION app.count_knowledge_words() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.count_knowledge_words() TO voice_api;

-- Passages of the tenant of the transaction, the best first, in these collections. `candidates` leads to them; each of
-- `stems` that a passage has counts its weight, and half of it again where it stands in the title; what counts less than
-- `enough` is left out. At most two passages of an article.
--
-- A door, although it shows one tenant only: matching stems is not marked leakproof, so under row-level security no
-- index may answer it. The tenant is compared here instead; IS NOT DISTINCT FROM, so that the planner does not take the
-- index of tenants for it.
CREATE FUNCTION app.find_knowledge(dictionary text, collections text[], candidates tsquery, stems text[],
                                   weights float8[], enough float8, most integer)
    RETURNS TABLE (article_id uuid, title text, text text, score float8)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH wanted AS MATERIALIZED (
            SELECT q.stem::tsquery AS anywhere, (q.stem || ':A')::tsquery AS in_title, q.weight
            FROM unnest(stems, weights) AS q (stem, weight)
        ), found AS MATERIALIZED (
            SELECT p.article_id, p.number, p.title, p.text,
                   (SELECT sum(s.weight * ((p.words @@ s.anywhere)::integer + 0.5 * (p.words @@ s.in_title)::integer))
                    FROM wanted s) AS score
            FROM app.knowledge_passages p
            WHERE p.words @@ (quote_literal(app.tid()::text)::tsquery && candidates)
              AND p.tenant_id IS NOT DISTINCT FROM app.tid()
              AND p.dictionary = find_knowledge.dictionary
              AND p.collection = ANY (collections)
            -- Where every word of a question is a common one, which of very many passages are looked at is of no matter.
            LIMIT 2000
        ), ranked AS (
            SELECT f.article_id, f.number, f.title, f.text, f.score,
                   row_number() OVER (PARTITION BY f.article_id ORDER BY f.score DESC, f.number) AS place
            FROM found f WHERE f.score >= enough
        )
        SELECT r.article_id, r.title, r.text, r.score FROM ranked r WHERE r.place <= 2
        ORDER BY r.score DESC, r.article_id, r.number LIMIT most;
    END;
REVOKE ALL ON FUNCTION app.find_knowledge(text, text[], tsquery, text[], float8[], float8, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.find_knowledge(text, text[], tsquery, text[], float8[], float8, integer)
    TO voice_worker, voice_api;
GRANT CREATE ON SCHEMA app TO voice_system;
ALTER FUNCTION app.find_knowledge(text, text[], tsquery, text[], float8[], float8, integer) OWNER TO voice_system;
REVOKE CREATE ON SCHEMA app FROM voice_system;
