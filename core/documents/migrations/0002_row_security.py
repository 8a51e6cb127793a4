"""Row security of documents and parts, and the reference count of blobs."""

from django.db import migrations

# A child row always belongs to its parent's collection, also for one who writes SQL by hand: row security looks at the
# child's own column.
SAME_COLLECTION = """
ALTER TABLE documents_document ADD CONSTRAINT document_in_its_collection UNIQUE (id, collection_id);
ALTER TABLE documents_part ADD CONSTRAINT part_in_the_collection_of_its_document
    FOREIGN KEY (document_id, collection_id) REFERENCES documents_document (id, collection_id) ON UPDATE CASCADE;
ALTER TABLE documents_part ADD CONSTRAINT part_in_its_collection UNIQUE (id, collection_id);
"""

REFERENCES = """
CREATE FUNCTION documents_blob_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE documents_blob SET reference_count = reference_count + 1 WHERE sha256 = NEW.blob_id;
    ELSE
        UPDATE documents_blob SET reference_count = reference_count - 1 WHERE sha256 = OLD.blob_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER documents_part_counts_blobs AFTER INSERT OR DELETE ON documents_part
    FOR EACH ROW EXECUTE FUNCTION documents_blob_count();
"""


class Migration(migrations.Migration):
    """Guards documents and parts."""

    dependencies = [("documents", "0001_initial"), ("access", "0002_roles_and_row_security")]

    operations = [
        migrations.RunSQL(SAME_COLLECTION),
        migrations.RunSQL(REFERENCES),
        migrations.RunSQL("SELECT cloister_guard('documents_document'); SELECT cloister_guard('documents_part');"),
    ]
