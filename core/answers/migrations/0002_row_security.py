"""Row security of answers: one's own, in a collection that one may still see."""

from django.db import migrations

ANSWERS = """
ALTER TABLE answers_answer ENABLE ROW LEVEL SECURITY;
ALTER TABLE answers_answer FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON answers_answer
    USING ((SELECT cloister_is_system())
        OR (user_id = (SELECT cloister_user_id())
            AND collection_id = ANY ((SELECT cloister_visible_collections())::uuid[])))
    WITH CHECK ((SELECT cloister_is_system())
        OR (user_id = (SELECT cloister_user_id())
            AND collection_id = ANY ((SELECT cloister_visible_collections())::uuid[])));
"""


class Migration(migrations.Migration):
    """Guards answers."""

    dependencies = [("answers", "0001_initial"), ("access", "0002_roles_and_row_security")]

    operations = [migrations.RunSQL(ANSWERS)]
