"""What the pages do to documents, members and collections, and how often they let somebody try a password."""

from __future__ import annotations

import pytest
from django.test import Client

from core.access.acting import acting_as_system
from core.access.models import Collection, User
from core.access.service import collection_create, membership_set, user_create
from core.documents.models import Document
from core.jobs.models import Job
from core.jobs.service import PartUpload, document_submit
from core.settings.env import env

pytestmark = pytest.mark.services


def pages_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann(clean_database) -> User:
    return user_create(name="ann", password="a long password of ann")


@pytest.fixture
def ben(clean_database) -> User:
    return user_create(name="ben")


@pytest.fixture
def papers(ann) -> Collection:
    return collection_create(user=ann, name="papers")


@pytest.fixture
def document(ann, papers) -> Document:
    return document_submit(user=ann, collection=papers, parts=[PartUpload(name="fee.txt", content=b"Forty euros.")])[0]


class TestDocuments:
    def test_reading_is_cancelled_and_begun_again(self, ann, document):
        pages = pages_of(ann)

        cancelled = pages.post(f"/d/{document.pk}/cancel").content.decode()
        again = pages.post(f"/d/{document.pk}/retry").content.decode()

        assert "cancelled by ann" in cancelled
        assert "Retry fee.txt" in cancelled
        assert "Cancel fee.txt" in again
        with acting_as_system():
            assert sorted(Job.objects.values_list("state", flat=True)) == ["cancelled", "queued"]

    def test_what_cannot_be_is_said_in_the_table(self, ann, document):
        told = pages_of(ann).post(f"/d/{document.pk}/retry").content.decode()

        assert "only failed and cancelled jobs are tried again" in told

    def test_an_erased_one_is_gone_from_the_table(self, ann, papers, document):
        told = pages_of(ann).post(f"/d/{document.pk}/erase").content.decode()

        assert "No document yet." in told
        with acting_as_system():
            assert not Document.objects.exists()

    def test_a_viewer_has_no_actions(self, ann, ben, papers, document):
        membership_set(collection=papers, role="viewer", user=ben)
        pages = pages_of(ben)

        assert "Erase fee.txt" not in pages.get(f"/c/{papers.pk}").content.decode()
        assert "not change it" in pages.post(f"/d/{document.pk}/erase").content.decode()
        with acting_as_system():
            assert Document.objects.exists()

    def test_a_stranger_is_told_of_nothing(self, ben, document):
        assert pages_of(ben).post(f"/d/{document.pk}/erase").status_code == 404


class TestMembers:
    def test_an_owner_gives_a_role_and_takes_it_away(self, ann, ben, papers):
        pages = pages_of(ann)
        change = {"kind": "user", "name": "ben"}

        given = pages.post(f"/c/{papers.pk}/members", {**change, "role": "viewer"}, follow=True).content.decode()
        assert "Take the role of ben away" in given
        assert pages_of(ben).get(f"/c/{papers.pk}").status_code == 200

        pages.post(f"/c/{papers.pk}/members", {**change, "role": ""})
        assert pages_of(ben).get(f"/c/{papers.pk}").status_code == 404

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"kind": "user", "name": "nobody", "role": "viewer"}, "there is no user &#x27;nobody&#x27;"),
            ({"kind": "user", "name": "ann", "role": ""}, "would be without an owner"),
        ],
    )
    def test_what_cannot_be_is_said(self, ann, papers, change, told):
        assert told in pages_of(ann).post(f"/c/{papers.pk}/members", change, follow=True).content.decode()

    def test_who_is_no_owner_does_not_find_the_page(self, ann, ben, papers):
        membership_set(collection=papers, role="editor", user=ben)

        assert pages_of(ben).get(f"/c/{papers.pk}/members").status_code == 404
        assert pages_of(ben).post(f"/c/{papers.pk}/erase", {"name": "papers"}).status_code == 404


class TestCollections:
    def test_it_is_renamed(self, ann, papers):
        assert "Members of letters" in (
            pages_of(ann).post(f"/c/{papers.pk}/rename", {"name": "letters"}, follow=True).content.decode()
        )

    def test_it_is_erased_only_when_its_name_is_typed(self, ann, papers, document):
        pages = pages_of(ann)

        assert (
            "does not match" in pages.post(f"/c/{papers.pk}/erase", {"name": "letters"}, follow=True).content.decode()
        )
        told = pages.post(f"/c/{papers.pk}/erase", {"name": "papers"}, follow=True).content.decode()

        assert "is erased, with 1 documents" in told
        with acting_as_system():
            assert not Collection.objects.exists()


class TestPasswords:
    def test_after_too_many_wrong_ones_not_even_the_right_one_is_looked_at(self, ann, ben):
        client = Client()
        wrong = {"username": "ann", "password": "wrong"}
        # Another minute of the clock can begin meanwhile, with a count of its own.
        tries = (client.post("/login", wrong) for _ in range(3 * env().failed_logins_per_minute))
        refused_at = next(number for number, answer in enumerate(tries) if answer.status_code == 429)

        right = client.post("/login", {"username": "ann", "password": "a long password of ann"})
        other = client.post("/login", {"username": "ben", "password": "wrong"})

        assert refused_at >= env().failed_logins_per_minute
        assert right.status_code == 429
        assert int(right["Retry-After"]) > 0
        assert "Too many wrong passwords" in right.content.decode()
        assert other.status_code == 200

    def test_right_ones_are_not_counted(self, ann):
        for _ in range(2 * env().failed_logins_per_minute):
            assert Client().post("/login", {"username": "ann", "password": "a long password of ann"}).status_code == 302
