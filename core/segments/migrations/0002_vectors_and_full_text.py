"""The partitioned table of vectors, the full-text trigger, and row security of both."""

from django.db import migrations

# The key begins with the segment, so that deleting a segment finds its vectors by the key's index.
VECTORS = """
CREATE TABLE segments_embedding (
    space_id bigint NOT NULL REFERENCES segments_embeddingspace (id),
    segment_id uuid NOT NULL,
    collection_id uuid NOT NULL,
    embedding halfvec NOT NULL,
    PRIMARY KEY (segment_id, space_id),
    CONSTRAINT embedding_of_a_segment_in_its_collection FOREIGN KEY (segment_id, collection_id)
        REFERENCES segments_segment (id, collection_id) ON DELETE CASCADE ON UPDATE CASCADE
) PARTITION BY LIST (space_id);
"""

SAME_COLLECTION = """
ALTER TABLE segments_segment ADD CONSTRAINT segment_in_its_collection UNIQUE (id, collection_id);
ALTER TABLE segments_segment ADD CONSTRAINT segment_in_the_collection_of_its_document
    FOREIGN KEY (document_id, collection_id) REFERENCES documents_document (id, collection_id) ON UPDATE CASCADE;
"""

FULL_TEXT = """
CREATE FUNCTION cloister_text_config(language text) RETURNS regconfig
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT c.oid::regconfig FROM pg_catalog.pg_ts_config c
        WHERE c.cfgnamespace = 'pg_catalog'::regnamespace AND c.cfgname = CASE split_part(lower(language), '-', 1)
        WHEN 'ar' THEN 'arabic' WHEN 'ca' THEN 'catalan' WHEN 'da' THEN 'danish' WHEN 'de' THEN 'german'
        WHEN 'el' THEN 'greek' WHEN 'en' THEN 'english' WHEN 'es' THEN 'spanish' WHEN 'et' THEN 'estonian'
        WHEN 'eu' THEN 'basque' WHEN 'fi' THEN 'finnish' WHEN 'fr' THEN 'french' WHEN 'ga' THEN 'irish'
        WHEN 'hi' THEN 'hindi' WHEN 'hu' THEN 'hungarian' WHEN 'hy' THEN 'armenian' WHEN 'id' THEN 'indonesian'
        WHEN 'it' THEN 'italian' WHEN 'lt' THEN 'lithuanian' WHEN 'ne' THEN 'nepali' WHEN 'nl' THEN 'dutch'
        WHEN 'no' THEN 'norwegian' WHEN 'nb' THEN 'norwegian' WHEN 'nn' THEN 'norwegian' WHEN 'pt' THEN 'portuguese'
        WHEN 'ro' THEN 'romanian' WHEN 'ru' THEN 'russian' WHEN 'sr' THEN 'serbian' WHEN 'sv' THEN 'swedish'
        WHEN 'ta' THEN 'tamil' WHEN 'tr' THEN 'turkish' WHEN 'yi' THEN 'yiddish' ELSE 'simple' END),
        'pg_catalog.simple'::regconfig)
$$;

CREATE FUNCTION cloister_search_vector(heading text, body text, language text) RETURNS tsvector
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN config = 'pg_catalog.simple'::regconfig THEN exact
           ELSE setweight(to_tsvector(config, heading), 'A') || setweight(to_tsvector(config, body), 'B') || exact END
    FROM (SELECT public.cloister_text_config(language) AS config,
                 setweight(to_tsvector('pg_catalog.simple', heading), 'A')
                 || setweight(to_tsvector('pg_catalog.simple', body), 'B') AS exact) AS found
$$;

CREATE FUNCTION segments_search_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_vector := public.cloister_search_vector(
        coalesce((SELECT string_agg(title, ' ') FROM jsonb_array_elements_text(NEW.heading_path) AS title), ''),
        NEW.text, NEW.language);
    RETURN NEW;
END
$$;
CREATE TRIGGER segments_segment_search_vector BEFORE INSERT OR UPDATE OF text, heading_path, language
    ON segments_segment FOR EACH ROW EXECUTE FUNCTION segments_search_vector();
"""


class Migration(migrations.Migration):
    """Makes vectors and full text, guarded."""

    dependencies = [("segments", "0001_initial"), ("documents", "0002_row_security")]

    operations = [
        migrations.RunSQL(SAME_COLLECTION),
        migrations.RunSQL(VECTORS),
        migrations.RunSQL(FULL_TEXT),
        migrations.RunSQL("SELECT cloister_guard('segments_segment'); SELECT cloister_guard('segments_embedding');"),
    ]
