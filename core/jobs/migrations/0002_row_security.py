"""Row security of jobs, steps and artefacts."""

from django.db import migrations

SAME_COLLECTION = """
ALTER TABLE jobs_job ADD CONSTRAINT job_in_its_collection UNIQUE (id, collection_id);
ALTER TABLE jobs_job ADD CONSTRAINT job_in_the_collection_of_its_document
    FOREIGN KEY (document_id, collection_id) REFERENCES documents_document (id, collection_id) ON UPDATE CASCADE;
ALTER TABLE jobs_step ADD CONSTRAINT step_in_the_collection_of_its_job
    FOREIGN KEY (job_id, collection_id) REFERENCES jobs_job (id, collection_id) ON UPDATE CASCADE;
ALTER TABLE jobs_artefact ADD CONSTRAINT artefact_in_the_collection_of_its_job
    FOREIGN KEY (job_id, collection_id) REFERENCES jobs_job (id, collection_id) ON UPDATE CASCADE;
"""


class Migration(migrations.Migration):
    """Guards jobs, steps and artefacts."""

    dependencies = [("jobs", "0001_initial"), ("documents", "0002_row_security")]

    operations = [
        migrations.RunSQL(SAME_COLLECTION),
        migrations.RunSQL(
            "SELECT cloister_guard('jobs_job'); SELECT cloister_guard('jobs_step'); "
            "SELECT cloister_guard('jobs_artefact');"
        ),
    ]
