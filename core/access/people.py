"""Users, groups and tokens as administrators and their owners manage them, and the audit log as it is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from knox.models import AuthToken

from core.access.acting import acting_as
from core.access.errors import Conflict, Forbidden, Invalid, NotFound
from core.access.models import AuditEntry, Membership, Role, User
from core.access.service import audit, collection_get, manage_require

GROUP_NAME_MAX = 150


def administrator_require(user: User) -> None:
    """Check that ``user`` is an administrator.

    Raises:
        Forbidden: It is not.
    """
    if not user.is_staff:
        raise Forbidden("only an administrator may do this")


def group_create(*, actor: User, name: str) -> Group:
    """Make an empty group.

    Raises:
        Forbidden: ``actor`` is not an administrator.
        Invalid: The name is empty or longer than 150 characters.
        Conflict: The name is taken.
    """
    administrator_require(actor)
    name = name.strip()
    if not 0 < len(name) <= GROUP_NAME_MAX:
        raise Invalid(f"the name of a group has 1 to {GROUP_NAME_MAX} characters")
    try:
        with transaction.atomic():
            group = Group.objects.create(name=name)
            audit(user=actor, action="group_create", subject=name)
    except IntegrityError as error:
        raise Conflict(f"there is already a group named '{name}'") from error
    return group


def groups_known(user: User) -> QuerySet[Group]:
    """Return the groups that ``user`` is told of: all of them to an administrator, else their own."""
    groups = Group.objects.order_by("name").prefetch_related("user_set")
    return groups if user.is_staff else groups.filter(user=user)


def group_members_set(*, actor: User, group_id: int, names: Sequence[str]) -> Group:
    """Say who is in a group; the roles of the group hold for them from the next query on.

    Raises:
        Forbidden: ``actor`` is not an administrator.
        NotFound: There is no such group, or no user of one of the names.
    """
    administrator_require(actor)
    with transaction.atomic():
        group = _group(group_id)
        users = {user.username: user for user in User.objects.filter(username__in=names)}
        if missing := sorted(set(names) - set(users)):
            raise NotFound(f"there is no user '{missing[0]}'")
        group.user_set.set(users.values())
        audit(user=actor, action="group_members_set", subject=group.name, detail={"users": sorted(users)})
    return group


def group_delete(*, actor: User, group_id: int) -> None:
    """Remove a group and with it the roles it has given.

    Raises:
        Forbidden: ``actor`` is not an administrator.
        NotFound: There is no such group.
        Conflict: A collection would be without an owner.
    """
    administrator_require(actor)
    with transaction.atomic():
        group = _group(group_id)
        for collection_id in Membership.objects.filter(group=group, role=Role.OWNER).values_list("collection_id"):
            others = Membership.objects.filter(collection_id=collection_id[0], role=Role.OWNER).exclude(group=group)
            if not others.exists():
                raise Conflict(f"a collection would be without an owner; name one before '{group.name}' goes")
        audit(user=actor, action="group_delete", subject=group.name)
        group.delete()


def _group(group_id: int) -> Group:
    found = Group.objects.select_for_update().filter(pk=group_id).first()
    if found is None:
        raise NotFound(f"there is no group {group_id}")
    return found


def user_change(*, actor: User, user_id: int, active: bool) -> User:
    """Let a user in, or shut them out at once: their sessions and tokens no longer count.

    Raises:
        Forbidden: ``actor`` is not an administrator.
        NotFound: There is no such user.
        Conflict: ``actor`` would shut out themselves.
    """
    administrator_require(actor)
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None:
            raise NotFound(f"there is no user {user_id}")
        if user.pk == actor.pk and not active:
            raise Conflict("you cannot shut out yourself; ask another administrator")
        user.is_active = active
        user.save(update_fields=["is_active"])
        audit(user=actor, action="user_change", subject=user.username, detail={"active": active})
    return user


def tokens_of(user: User) -> QuerySet[AuthToken]:
    """Return the user's own tokens, newest first; each shows the first characters of its text only."""
    return AuthToken.objects.filter(user=user).order_by("-created")  # type: ignore[no-any-return]


def token_issue(*, user: User, lifetime: timedelta | None = None) -> tuple[AuthToken, str]:
    """Return a new token of ``user`` and its text, which is shown this once."""
    with transaction.atomic():
        row, text = AuthToken.objects.create(user=user, expiry=lifetime)
        audit(user=user, action="token_create", subject=row.token_key)
    return row, str(text)


def token_revoke(*, user: User, token_key: str) -> None:
    """Revoke a token; it is refused from the next request on.

    Raises:
        NotFound: The user has no such token.
    """
    with transaction.atomic():
        own = AuthToken.objects.filter(user=user)
        gone = 0
        # The key comes from an address, which may hold what no column can.
        if "\x00" not in token_key:
            gone, _ = own.filter(token_key=token_key).delete()
        if not gone:
            raise NotFound(f"you have no token '{token_key}'")
        audit(user=user, action="token_revoke", subject=token_key)


def audit_entries(*, user: User, collection_id: UUID | None = None) -> QuerySet[AuditEntry]:
    """Return the log, newest first: all of it to an administrator, that of one collection to its owners.

    Raises:
        NotFound: The collection does not exist or ``user`` may not see it.
        Forbidden: ``user`` is neither an administrator nor an owner of the collection.
    """
    entries = AuditEntry.objects.select_related("user").order_by("-pk")
    if collection_id is None:
        administrator_require(user)
        return entries
    collection = collection_get(user=user, collection_id=collection_id)
    with acting_as(user):
        manage_require(user=user, collection=collection)
    named = str(collection_id)
    return entries.filter(Q(subject=named) | Q(detail__collection=named))
