"""Conversations: answers that follow on each other share an id."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the conversation and the condensed question; every earlier answer is a conversation of its own."""

    dependencies = [("answers", "0002_row_security")]

    operations = [
        migrations.AddField(
            model_name="answer", name="conversation", field=models.UUIDField(null=True)
        ),
        # Row security binds the owner too: without the system's identity the update would meet no row.
        migrations.RunSQL(
            "SELECT set_config('cloister.user_id', 'system', true); UPDATE answers_answer SET conversation = id",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="answer",
            name="conversation",
            field=models.UUIDField(
                db_index=True, default=uuid.uuid4, help_text="The same for a question and what follows on it."
            ),
        ),
        migrations.AddField(
            model_name="answer",
            name="standalone",
            field=models.TextField(
                blank=True,
                default="",
                help_text="The question as condensed from messages that came with it; empty for stored turns.",
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="answer",
            name="evidence",
            field=models.JSONField(
                default=dict, help_text="What was searched, found, shown to the model and decided, with model digests."
            ),
        ),
    ]
