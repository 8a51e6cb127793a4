"""Tags, typed metadata and a date of documents, for filters."""

import django.contrib.postgres.fields
from django.db import migrations, models

OBJECT = """
ALTER TABLE documents_document
    ALTER COLUMN tags SET DEFAULT '{}',
    ALTER COLUMN metadata SET DEFAULT '{}',
    ADD CONSTRAINT document_metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object');
"""

UNDO = "ALTER TABLE documents_document DROP CONSTRAINT document_metadata_is_an_object;"


class Migration(migrations.Migration):
    """Lets documents say what they are about."""

    dependencies = [("access", "0002_roles_and_row_security"), ("documents", "0003_part_inline")]

    operations = [
        migrations.AddField(
            model_name="document",
            name="tags",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="document",
            name="metadata",
            field=models.JSONField(
                default=dict, help_text="Key to text, number, yes or no, or date (text YYYY-MM-DD)."
            ),
        ),
        migrations.AddField(
            model_name="document",
            name="date",
            field=models.DateField(help_text="What its sender says it is dated.", null=True),
        ),
        migrations.AddIndex(
            model_name="document",
            index=models.Index(fields=["collection", "date"], name="document_date"),
        ),
        migrations.RunSQL(OBJECT, UNDO),
    ]
