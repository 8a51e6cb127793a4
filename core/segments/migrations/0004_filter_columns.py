"""Columns and indexes that filters use inside the SQL of a search.

The columns are generated from the anchor and known to the search's SQL alone. They are columns, not expressions over
the anchor, because PostgreSQL uses an index under row security only for conditions of leakproof functions, and reading
out of JSON is not one.
"""

from django.db import migrations

COLUMNS = """
ALTER TABLE segments_segment
    ADD COLUMN speaker text GENERATED ALWAYS AS (anchor ->> 'speaker') STORED,
    ADD COLUMN page integer GENERATED ALWAYS AS ((anchor ->> 'page')::integer) STORED,
    ADD COLUMN start_s double precision GENERATED ALWAYS AS
        (coalesce(anchor ->> 'start_s', anchor ->> 'frame_s')::double precision) STORED,
    ADD COLUMN end_s double precision GENERATED ALWAYS AS
        (coalesce(anchor ->> 'end_s', anchor ->> 'frame_s')::double precision) STORED;
"""

INDEXES = """
CREATE INDEX segment_kind ON segments_segment (collection_id, kind);
CREATE INDEX segment_language ON segments_segment (collection_id, language);
CREATE INDEX segment_speaker ON segments_segment (collection_id, speaker) WHERE speaker IS NOT NULL;
CREATE INDEX segments_embedding_collection ON segments_embedding (collection_id);
"""

UNDO = """
DROP INDEX segments_embedding_collection, segment_speaker, segment_language, segment_kind;
ALTER TABLE segments_segment DROP COLUMN end_s, DROP COLUMN start_s, DROP COLUMN page, DROP COLUMN speaker;
"""


class Migration(migrations.Migration):
    """Makes filters fast under row security."""

    dependencies = [("segments", "0003_search_index_without_pending_list")]

    operations = [migrations.RunSQL(COLUMNS + INDEXES, UNDO)]
