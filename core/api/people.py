"""Your own tokens; groups and users, for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.models import User
from core.access.people import (
    GROUP_NAME_MAX,
    administrator_require,
    group_create,
    group_delete,
    group_members_set,
    groups_known,
    token_issue,
    token_revoke,
    tokens_of,
    user_change,
)
from core.access.service import audit, user_create
from core.api.paging import PageSerializer, page_of
from core.api.requests import user_of

LIFETIME_MAX_DAYS = 3650


class TokenRequestSerializer(serializers.Serializer[dict[str, Any]]):
    """How long a new token holds."""

    days = serializers.IntegerField(
        min_value=1, max_value=LIFETIME_MAX_DAYS, required=False, help_text="Without it, until it is revoked."
    )


class GroupSerializer(serializers.Serializer[dict[str, Any]]):
    """A new group."""

    name = serializers.CharField(max_length=GROUP_NAME_MAX)


class GroupMembersSerializer(serializers.Serializer[dict[str, Any]]):
    """Who is in a group: all of them, by name."""

    users = serializers.ListField(child=serializers.CharField(max_length=150), allow_empty=True, max_length=10_000)


class UserSerializer(serializers.ModelSerializer[User]):
    """A new user; without a password only tokens log in."""

    password = serializers.CharField(max_length=1000, required=False, write_only=True, trim_whitespace=False)
    administrator = serializers.BooleanField(default=False, write_only=True)

    class Meta:
        model = User
        fields = ["id", "username", "email", "is_staff", "is_active", "password", "administrator"]
        read_only_fields = ["id", "is_staff", "is_active"]

    def validate_password(self, password: str) -> str:
        """Refuse what the rules for passwords refuse."""
        try:
            validate_password(password)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        return password


class UserChangeSerializer(serializers.Serializer[dict[str, Any]]):
    """Whether a user is let in."""

    active = serializers.BooleanField()


def _token_json(token: AuthToken) -> dict[str, Any]:
    return {
        "key": token.token_key,
        "created_at": token.created.isoformat(),
        "expires_at": token.expiry.isoformat() if token.expiry else None,
    }


def _group_json(group: Group) -> dict[str, Any]:
    members = group.user_set.all()
    return {"id": group.pk, "name": group.name, "users": sorted(one.username for one in members)}


class TokenListView(APIView):
    """Your tokens."""

    @extend_schema(operation_id="token_list", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List your own tokens by their first characters."""
        return Response({"tokens": [_token_json(one) for one in tokens_of(user_of(request))]})

    @extend_schema(operation_id="token_create", request=TokenRequestSerializer, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Make a token of yours; its text is shown this once."""
        fields = TokenRequestSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        days = fields.validated_data.get("days")
        row, text = token_issue(user=user_of(request), lifetime=timedelta(days=days) if days else None)
        return Response({**_token_json(row), "token": text}, status=status.HTTP_201_CREATED)


class TokenView(APIView):
    """One of your tokens."""

    @extend_schema(operation_id="token_revoke", request=None, responses={204: None})
    def delete(self, request: Request, token_key: str) -> Response:
        """Revoke a token of yours; it is refused from the next request on."""
        token_revoke(user=user_of(request), token_key=token_key)
        return Response(status=status.HTTP_204_NO_CONTENT)


class GroupListView(APIView):
    """Groups."""

    @extend_schema(operation_id="group_list", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List the groups you are in with their users; administrators see all."""
        return Response({"groups": [_group_json(one) for one in groups_known(user_of(request))]})

    @extend_schema(operation_id="group_create", request=GroupSerializer, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Make an empty group; administrators only."""
        fields = GroupSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        made = group_create(actor=user_of(request), name=fields.validated_data["name"])
        return Response(_group_json(made), status=status.HTTP_201_CREATED)


class GroupView(APIView):
    """One group."""

    @extend_schema(operation_id="group_members_set", request=GroupMembersSerializer, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request, group_id: int) -> Response:
        """Say who is in a group; administrators only."""
        fields = GroupMembersSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        group = group_members_set(actor=user_of(request), group_id=group_id, names=fields.validated_data["users"])
        return Response(_group_json(group))

    @extend_schema(operation_id="group_delete", request=None, responses={204: None})
    def delete(self, request: Request, group_id: int) -> Response:
        """Remove a group and the roles it gives; administrators only."""
        group_delete(actor=user_of(request), group_id=group_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UserListView(APIView):
    """Users."""

    @extend_schema(operation_id="user_list", parameters=[PageSerializer], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List the users; administrators only."""
        administrator_require(user_of(request))
        page = page_of(request, User.objects.order_by("username"))
        return Response({"users": UserSerializer(page.rows, many=True).data, **page.as_json()})

    @extend_schema(operation_id="user_create", request=UserSerializer, responses={201: UserSerializer})
    def post(self, request: Request) -> Response:
        """Make a user; administrators only."""
        actor = user_of(request)
        administrator_require(actor)
        fields = UserSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        wanted = fields.validated_data
        made = user_create(
            name=wanted["username"],
            password=wanted.get("password"),
            email=wanted.get("email", ""),
            administrator=wanted["administrator"],
        )
        audit(user=actor, action="user_create", subject=made.username, detail={"administrator": made.is_staff})
        return Response(UserSerializer(made).data, status=status.HTTP_201_CREATED)


class UserView(APIView):
    """One user."""

    @extend_schema(operation_id="user_change", request=UserChangeSerializer, responses=UserSerializer)
    def patch(self, request: Request, user_id: int) -> Response:
        """Let a user in or shut them out; administrators only."""
        fields = UserChangeSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        changed = user_change(actor=user_of(request), user_id=user_id, active=fields.validated_data["active"])
        return Response(UserSerializer(changed).data)
