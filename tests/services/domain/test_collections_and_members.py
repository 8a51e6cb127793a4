"""Users, collections and who may say who sees them."""

from __future__ import annotations

from uuid import UUID

import pytest
from knox.models import AuthToken

from core.access.acting import acting_as
from core.access.errors import Conflict, Forbidden, Invalid, NotFound
from core.access.models import Collection
from core.access.service import (
    collection_create,
    collection_get,
    collection_get_or_create,
    may_edit,
    may_manage,
    membership_remove,
    membership_set,
    token_create,
    user_create,
)

pytestmark = pytest.mark.services

NOWHERE = UUID(int=0)


class TestCollection:
    def test_belongs_to_its_creator(self, alice):
        assert may_edit(alice.user, alice.collection)
        assert may_manage(alice.user, alice.collection)

    def test_of_somebody_else_is_as_if_it_were_not_there(self, alice, bob):
        with pytest.raises(NotFound) as hidden:
            collection_get(user=bob.user, collection_id=alice.collection.pk)
        with pytest.raises(NotFound) as absent:
            collection_get(user=bob.user, collection_id=NOWHERE)

        assert str(hidden.value).replace(str(alice.collection.pk), str(NOWHERE)) == str(absent.value)

    def test_name_is_unique_per_creator(self, alice, bob):
        with pytest.raises(Conflict):
            collection_create(user=alice.user, name=alice.collection.name)
        assert collection_create(user=bob.user, name=alice.collection.name).pk != alice.collection.pk

    def test_name_has_a_length(self, alice):
        for name in ("", "  ", "x" * 201):
            with pytest.raises(Invalid):
                collection_create(user=alice.user, name=name)

    def test_is_found_by_name_before_it_is_made(self, alice):
        assert collection_get_or_create(user=alice.user, name=alice.collection.name) == alice.collection
        made = collection_get_or_create(user=alice.user, name="other")
        with acting_as(alice.user):
            assert set(Collection.objects.all()) == {alice.collection, made}

    def test_shared_by_others_is_found_by_name(self, alice, bob):
        membership_set(collection=alice.collection, user=bob.user, role="viewer")

        assert collection_get_or_create(user=bob.user, name=alice.collection.name) == alice.collection


class TestMembers:
    def test_are_named_by_an_owner_only(self, alice, bob, person):
        carol = person("carol")
        with pytest.raises(NotFound):
            membership_set(collection=alice.collection, user=bob.user, role="owner", actor=bob.user)
        membership_set(collection=alice.collection, user=bob.user, role="editor", actor=alice.user)

        with pytest.raises(Forbidden):
            membership_set(collection=alice.collection, user=carol.user, role="viewer", actor=bob.user)
        with pytest.raises(Forbidden):
            membership_remove(collection=alice.collection, user=alice.user, actor=bob.user)

    def test_have_one_role(self, alice, bob):
        membership_set(collection=alice.collection, user=bob.user, role="owner")
        membership_set(collection=alice.collection, user=bob.user, role="viewer")

        assert not may_edit(bob.user, alice.collection)

    def test_include_an_owner_always(self, alice):
        with pytest.raises(Conflict):
            membership_remove(collection=alice.collection, user=alice.user)
        with pytest.raises(Conflict):
            membership_set(collection=alice.collection, user=alice.user, role="viewer")
        assert may_manage(alice.user, alice.collection)

    def test_are_a_user_or_a_group(self, alice):
        with pytest.raises(Invalid):
            membership_set(collection=alice.collection, role="viewer")
        with pytest.raises(Invalid):
            membership_set(collection=alice.collection, user=alice.user, role="king")


class TestUser:
    def test_name_is_taken_once(self, alice):
        with pytest.raises(Conflict):
            user_create(name="alice")
        with pytest.raises(Invalid):
            user_create(name=" ")

    def test_without_a_password_has_none(self, alice):
        assert not alice.user.has_usable_password()

    def test_token_is_stored_hashed(self, alice):
        token = token_create(alice.user)

        stored = AuthToken.objects.get()
        assert stored.user == alice.user
        assert stored.expiry is None
        assert token not in (stored.digest, stored.token_key)
