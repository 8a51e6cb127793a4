"""The second lock: what the database itself refuses, also to SQL by hand."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, ProgrammingError, connection, connections, transaction

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Forbidden
from core.access.models import Collection, Membership, User
from core.access.service import audit, membership_remove, membership_set, visible_to
from core.answers.models import Answer
from core.documents.models import Document
from core.segments.models import Embedding
from core.segments.service import segments_replace

pytestmark = pytest.mark.services

GUARDED = {
    "access_collection",
    "documents_document",
    "documents_part",
    "jobs_job",
    "jobs_step",
    "jobs_artefact",
    "jobs_upload",
    "segments_segment",
    "segments_embedding",
    "answers_answer",
}


def rows(statement: str, values=()) -> list:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


@pytest.fixture
def partition(text_space) -> str:
    return f"segments_embedding_{text_space.pk}"


@pytest.fixture
def indexed(alice, bob, hold, draft, vector, text_space, partition, now):
    """One document with one segment and one vector for alice and for bob each, and an answer of each."""
    for person in (alice, bob):
        held = hold(person.submit())
        segments_replace(
            document_id=held.document.pk,
            **held.lease,
            drafts=[draft(held, text=f"word of {person.user.username}", vectors={text_space.pk: vector(8)})],
            now=now,
        )
        with acting_as(person.user):
            Answer.objects.create(collection=person.collection, user=person.user, question="why")
    return GUARDED - {"access_collection", "jobs_artefact", "jobs_upload"} | {partition}


class TestApplicationRole:
    def test_is_neither_superuser_nor_bypasses_row_security(self):
        assert rows("SELECT current_user, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user") == [
            ("cloister_app", False, False)
        ]

    def test_owns_nothing(self):
        assert rows("SELECT relname FROM pg_class WHERE relowner = 'cloister_app'::regrole") == []

    def test_cannot_make_or_index_tables(self, alice):
        for statement in ("CREATE TABLE mine (id int)", "CREATE INDEX ON documents_document (title)"):
            with pytest.raises(ProgrammingError), connection.cursor() as cursor:
                cursor.execute(statement)

    def test_may_use_every_table(self):
        missing = rows(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
            "AND NOT has_table_privilege(oid, 'SELECT')"
        )

        assert missing == []

    def test_cannot_change_the_audit_log(self, alice):
        entry = audit(user=alice.user, action="look", subject="x")

        with pytest.raises(ProgrammingError), transaction.atomic():
            entry.delete()
        with pytest.raises(ProgrammingError), transaction.atomic():
            type(entry).objects.filter(pk=entry.pk).update(action="nothing")


class TestGuardedTables:
    def test_force_row_security_on_all_and_on_partitions(self, partition):
        forced = rows("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")

        assert {name for (name,) in forced} == GUARDED | {partition}

    def test_every_table_with_a_collection_is_guarded(self, partition):
        with_collection = rows(
            "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "WHERE a.attname = 'collection_id' AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity"
        )

        assert with_collection == [("access_membership",)]

    def test_show_nothing_without_identity(self, indexed):
        for table in indexed:
            assert rows(f"SELECT count(*) FROM {table}") == [(0,)], table

    def test_show_the_owner_nothing_without_identity(self, indexed):
        with connections["owner"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM segments_segment")
            assert cursor.fetchone() == (0,)

    def test_show_each_user_their_own_also_to_raw_sql(self, indexed, alice, bob):
        for person in (alice, bob):
            for table in indexed:
                with acting_as(person.user):
                    found = rows(f"SELECT DISTINCT collection_id FROM {table}")
                assert found == [(person.collection.pk,)], (person.user.username, table)

    def test_show_the_system_everything(self, indexed):
        for table in indexed:
            with acting_as_system():
                assert rows(f"SELECT count(*) FROM {table}") == [(2,)], table

    def test_ignore_an_identity_that_is_no_user(self, indexed):
        for identity in ("", "0", "-1", "1 OR 1=1", "System", "9" * 40):
            with transaction.atomic():
                rows("SELECT set_config('cloister.user_id', %s, true)", [identity])
                assert rows("SELECT count(*) FROM documents_document") == [(0,)], identity

    def test_ask_for_the_visible_collections_once_per_query(self, indexed, alice):
        with acting_as(alice.user):
            plan = "\n".join(line for (line,) in rows("EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM segments_segment"))

        assert "InitPlan" in plan
        assert "SubPlan" not in plan

    def test_hold_rows_in_the_collection_of_their_document(self, alice, bob):
        document = alice.submit()

        with pytest.raises(DatabaseError), acting_as(bob.user):
            rows(
                "INSERT INTO jobs_job (id, document_id, collection_id, user_id, state, error_code, error_message, "
                "created_at) VALUES (gen_random_uuid(), %s, %s, %s, 'queued', '', '', now()) RETURNING id",
                [document.pk, bob.collection.pk, bob.user.pk],
            )


class TestIdentity:
    def test_ends_with_its_transaction(self, alice):
        alice.submit()

        with acting_as(alice.user):
            assert Document.objects.count() == 1
        assert Document.objects.count() == 0

    def test_inner_one_ends_with_its_block(self, alice, bob):
        alice.submit()
        with acting_as(bob.user):
            with acting_as_system():
                assert Document.objects.count() == 1
            assert Document.objects.count() == 0
            with pytest.raises(RuntimeError), acting_as_system():
                raise RuntimeError
            assert Document.objects.count() == 0

    def test_of_nobody_is_refused(self):
        with pytest.raises(Forbidden), acting_as(User(username="not saved")):
            pass

    def test_of_an_inactive_user_sees_nothing(self, alice):
        alice.submit()
        alice.user.is_active = False
        alice.user.save()

        with acting_as(alice.user):
            assert Document.objects.count() == 0
            assert not visible_to(alice.user).exists()


class TestViewer:
    @pytest.fixture
    def viewer(self, alice, bob):
        membership_set(collection=alice.collection, user=bob.user, role="viewer")
        return bob.user

    def test_reads(self, alice, viewer):
        document = alice.submit()

        with acting_as(viewer):
            assert Document.objects.get() == document

    def test_cannot_write_content(self, alice, viewer):
        document = alice.submit()

        with pytest.raises(ProgrammingError), acting_as(viewer):
            Document.objects.create(
                collection=alice.collection, title="t", sha256="0" * 64, size_bytes=1, created_by=viewer
            )
        with acting_as(viewer):
            assert Document.objects.filter(pk=document.pk).update(title="mine") == 0
            assert rows("DELETE FROM documents_document RETURNING id") == []

    def test_cannot_move_a_document_into_a_collection_they_only_read(self, alice, bob, viewer):
        document = bob.submit()

        with pytest.raises(ProgrammingError), acting_as(viewer):
            rows(
                "UPDATE documents_document SET collection_id = %s WHERE id = %s RETURNING id",
                [alice.collection.pk, document.pk],
            )

    def test_keeps_answers_to_themselves(self, alice, viewer):
        with acting_as(viewer):
            Answer.objects.create(collection=alice.collection, user=viewer, question="why")

        with acting_as(alice.user):
            assert not Answer.objects.exists()
        with pytest.raises(ProgrammingError), acting_as(viewer):
            Answer.objects.create(collection=alice.collection, user=alice.user, question="forged")

    def test_becomes_a_writer_as_editor(self, alice, viewer):
        document = alice.submit()
        membership_set(collection=alice.collection, user=viewer, role="editor")

        with acting_as(viewer):
            assert Document.objects.filter(pk=document.pk).update(title="ours") == 1
            assert Collection.objects.filter(pk=alice.collection.pk).update(name="ours") == 0


class TestMembership:
    def test_of_a_group_counts(self, alice, bob):
        document = alice.submit()
        group = Group.objects.create(name="readers")
        membership_set(collection=alice.collection, group=group, role="viewer")
        with acting_as(bob.user):
            assert not Document.objects.exists()

        bob.user.groups.add(group)

        with acting_as(bob.user):
            assert Document.objects.get() == document
            assert set(visible_to(bob.user)) == {alice.collection, bob.collection}

    def test_revoked_takes_effect_at_once(self, alice, bob):
        alice.submit()
        membership_set(collection=alice.collection, user=bob.user, role="viewer")

        with acting_as(bob.user):
            assert Document.objects.count() == 1
            Membership.objects.filter(user=bob.user, collection=alice.collection).delete()
            assert Document.objects.count() == 0

    def test_removed_hides_vectors_too(self, indexed, alice, bob):
        membership_set(collection=alice.collection, user=bob.user, role="viewer")
        with acting_as(bob.user):
            assert Embedding.objects.count() == 2

        assert membership_remove(collection=alice.collection, user=bob.user)

        with acting_as(bob.user):
            assert Embedding.objects.count() == 1
