"""Collections and their members."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.acting import acting_as
from core.access.errors import NotFound
from core.access.models import Collection, Role, User
from core.access.service import (
    collection_create,
    collection_get,
    collection_rename,
    manage_require,
    membership_remove,
    membership_set,
    memberships_of,
    visible_to,
)
from core.api.requests import user_of
from core.erasure.service import collection_erase


class CollectionSerializer(serializers.ModelSerializer[Collection]):
    """A collection."""

    class Meta:
        model = Collection
        fields = ["id", "name", "created_at"]
        read_only_fields = ["id", "created_at"]


class MemberSerializer(serializers.Serializer[dict[str, Any]]):
    """A user or a group and the role it gets; an empty role takes the membership away."""

    user = serializers.CharField(max_length=150, required=False)
    group = serializers.CharField(max_length=150, required=False)
    role = serializers.ChoiceField(choices=Role.choices, allow_blank=True)


class CollectionListView(APIView):
    """The caller's collections."""

    @extend_schema(operation_id="collection_list", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List the collections you may see."""
        user = user_of(request)
        with acting_as(user):
            found = list(visible_to(user).order_by("name"))
        return Response({"collections": CollectionSerializer(found, many=True).data})

    @extend_schema(
        operation_id="collection_create", request=CollectionSerializer, responses={201: CollectionSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a collection that you own."""
        fields = CollectionSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        made = collection_create(user=user_of(request), name=fields.validated_data["name"])
        return Response(CollectionSerializer(made).data, status=status.HTTP_201_CREATED)


class CollectionView(APIView):
    """One collection."""

    @extend_schema(operation_id="collection_get", responses=CollectionSerializer)
    def get(self, request: Request, collection_id: UUID) -> Response:
        """Return a collection."""
        found = collection_get(user=user_of(request), collection_id=collection_id)
        return Response(CollectionSerializer(found).data)

    @extend_schema(operation_id="collection_rename", request=CollectionSerializer, responses=CollectionSerializer)
    def patch(self, request: Request, collection_id: UUID) -> Response:
        """Rename a collection; owners only."""
        fields = CollectionSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        named = collection_rename(
            user=user_of(request), collection_id=collection_id, name=fields.validated_data["name"]
        )
        return Response(CollectionSerializer(named).data)

    @extend_schema(operation_id="collection_erase", request=None, responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, collection_id: UUID) -> Response:
        """Erase a collection with every document, answer and job in it, and return the receipt; owners only."""
        return Response(collection_erase(user=user_of(request), collection_id=collection_id).as_json())


class CollectionMembersView(APIView):
    """Who may see and change a collection."""

    @extend_schema(operation_id="member_list", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, collection_id: UUID) -> Response:
        """List the users and groups of a collection with their roles; owners only."""
        found = memberships_of(user=user_of(request), collection_id=collection_id)
        return Response(
            {
                "members": [
                    {
                        "user": one.user.username if one.user else None,
                        "group": one.group.name if one.group else None,
                        "role": one.role,
                    }
                    for one in found
                ]
            }
        )

    @extend_schema(operation_id="member_set", request=MemberSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, collection_id: UUID) -> Response:
        """Give a user or a group a role, or take it away with an empty role; owners only."""
        fields = MemberSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        wanted, actor = fields.validated_data, user_of(request)
        collection = collection_get(user=actor, collection_id=collection_id)
        # Before the names are looked up: who is no owner does not learn which names there are.
        manage_require(user=actor, collection=collection)
        who = {"user": _user(wanted.get("user")), "group": _group(wanted.get("group"))}
        if wanted["role"]:
            membership_set(collection=collection, role=wanted["role"], actor=actor, **who)  # type: ignore[arg-type]
        else:
            membership_remove(collection=collection, actor=actor, **who)  # type: ignore[arg-type]
        return Response({"user": wanted.get("user"), "group": wanted.get("group"), "role": wanted["role"] or None})


def _user(name: str | None) -> User | None:
    if name is None:
        return None
    found = User.objects.filter(username=name).first()
    if found is None:
        raise NotFound(f"there is no user '{name}'")
    return found


def _group(name: str | None) -> Group | None:
    if name is None:
        return None
    found = Group.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no group '{name}'")
    return found
