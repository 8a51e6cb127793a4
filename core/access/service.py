"""Users, collections, membership, tokens and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from knox.models import AuthToken

from core.access.acting import acting_as, acting_as_system
from core.access.errors import Conflict, Forbidden, Invalid, NotFound
from core.access.models import AuditEntry, Collection, Membership, Role, User

EDITING_ROLES = (Role.EDITOR, Role.OWNER)


def user_create(*, name: str, password: str | None = None, email: str = "", administrator: bool = False) -> User:
    """Create a user; without a password only tokens log in.

    Raises:
        Invalid: The name is empty.
        Conflict: The name is taken.
    """
    if not name.strip():
        raise Invalid("a user needs a name")
    try:
        with transaction.atomic():
            return User.objects.create_user(
                username=name, email=email, password=password, is_staff=administrator, is_superuser=administrator
            )
    except IntegrityError as error:
        raise Conflict(f"there is already a user named '{name}'") from error


def token_create(user: User, *, lifetime: timedelta | None = None) -> str:
    """Return a new API token, which is stored hashed only; without a lifetime it holds until it is revoked."""
    _, token = AuthToken.objects.create(user=user, expiry=lifetime)
    return str(token)


def collection_create(*, user: User, name: str) -> Collection:
    """Create a collection that ``user`` owns.

    Raises:
        Invalid: The name is empty or longer than 200 characters.
        Conflict: The user has created one of that name already.
    """
    name = _name_checked(name)
    try:
        with acting_as(user):
            collection = Collection.objects.create(name=name, created_by=user)
            Membership.objects.create(collection=collection, user=user, role=Role.OWNER)
    except IntegrityError as error:
        raise Conflict(f"you have already created a collection named '{name}'") from error
    return collection


def _name_checked(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= 200 or "\x00" in name:
        raise Invalid("the name of a collection has 1 to 200 characters")
    return name


def collection_get_or_create(*, user: User, name: str) -> Collection:
    """Return the collection of that name that ``user`` sees, their own first, or create it.

    Raises:
        Invalid: The name is empty, or stands for several collections of other people.
        Conflict: The user created one of that name and may no longer see it.
    """
    found = _by_name(user, name)
    if found is not None:
        return found
    try:
        return collection_create(user=user, name=name)
    except Conflict:
        # Another request of the same user was faster.
        found = _by_name(user, name)
        if found is None:
            raise
        return found


def _by_name(user: User, name: str) -> Collection | None:
    with acting_as(user):
        named = list(visible_to(user).filter(name=name.strip()))
    own = [collection for collection in named if collection.created_by_id == user.pk]
    if own:
        return own[0]
    if len(named) > 1:
        raise Invalid(f"you see {len(named)} collections named '{name}'; use an id")
    return named[0] if named else None


def visible_to(user: User) -> QuerySet[Collection]:
    """Return the collections ``user`` may read; evaluate it inside ``acting_as``, else row security leaves none."""
    return Collection.objects.filter(pk__in=_memberships(user).values("collection_id"))


def collection_get(*, user: User, collection_id: UUID) -> Collection:
    """Return one collection.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
    """
    with acting_as(user):
        found = visible_to(user).filter(pk=collection_id).first()
    if found is None:
        raise NotFound(f"there is no collection {collection_id}")
    return found


def may_edit(user: User, collection: Collection) -> bool:
    """Whether ``user`` may add, change and erase documents of ``collection``."""
    return _memberships(user).filter(collection_id=collection.pk, role__in=EDITING_ROLES).exists()


def may_manage(user: User, collection: Collection) -> bool:
    """Whether ``user`` may rename and delete ``collection`` and say who its members are."""
    return _memberships(user).filter(collection_id=collection.pk, role=Role.OWNER).exists()


def edit_require(*, user: User, collection: Collection) -> None:
    """Check that ``user`` may edit ``collection``.

    Raises:
        NotFound: The user may not even see it.
        Forbidden: The user may only read it.
    """
    roles = set(_memberships(user).filter(collection_id=collection.pk).values_list("role", flat=True))
    if not roles:
        raise NotFound(f"there is no collection {collection.pk}")
    if roles.isdisjoint(EDITING_ROLES):
        raise Forbidden(f"you may read the collection '{collection.name}', not change it; ask one of its owners")


def _memberships(user: User) -> QuerySet[Membership]:
    if user.pk is None or not user.is_active:
        return Membership.objects.none()
    return Membership.objects.filter(
        Q(user_id=user.pk) | Q(group_id__in=User.groups.through.objects.filter(user_id=user.pk).values("group_id"))
    )


def membership_set(
    *,
    collection: Collection,
    role: str,
    user: User | None = None,
    group: Group | None = None,
    actor: User | None = None,
) -> Membership:
    """Give one user or one group a role in ``collection``, in place of an earlier one.

    Args:
        collection: Where.
        role: One of core.access.models.Role.
        user: The member, or
        group: the group whose members get it.
        actor: Who does this and must be an owner; None stands for the administrator at the machine.

    Raises:
        Invalid: Not exactly one of user and group, or an unknown role.
        NotFound: ``actor`` may not see the collection.
        Forbidden: ``actor`` is not an owner.
        Conflict: The last owner would be gone.
    """
    if (user is None) == (group is None):
        raise Invalid("a membership is of exactly one user or one group")
    if role not in Role.values:
        raise Invalid(f"'{role}' is not a role; known are {', '.join(Role.values)}")
    with acting_as_system():
        locked = _locked_for(collection, actor)
        member, _ = Membership.objects.update_or_create(
            collection=locked, user=user, group=group, defaults={"role": role}
        )
        _owner_require(locked)
        audit(
            user=actor, action="member_set", subject=str(locked.pk), detail={"member": str(user or group), "role": role}
        )
    return member


def membership_remove(
    *, collection: Collection, user: User | None = None, group: Group | None = None, actor: User | None = None
) -> bool:
    """Take a user's or a group's role away; returns whether there was one. It holds from the next query on.

    Raises:
        Invalid: Not exactly one of user and group.
        NotFound: ``actor`` may not see the collection.
        Forbidden: ``actor`` is not an owner.
        Conflict: The last owner would be gone.
    """
    if (user is None) == (group is None):
        raise Invalid("a membership is of exactly one user or one group")
    with acting_as_system():
        locked = _locked_for(collection, actor)
        removed, _ = Membership.objects.filter(collection=locked, user=user, group=group).delete()
        _owner_require(locked)
        audit(user=actor, action="member_remove", subject=str(locked.pk), detail={"member": str(user or group)})
    return removed > 0


def collection_rename(*, user: User, collection_id: UUID, name: str) -> Collection:
    """Give a collection another name.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` is not one of its owners.
        Invalid: The name is empty or longer than 200 characters.
        Conflict: Its creator has another one of that name.
    """
    collection = collection_get(user=user, collection_id=collection_id)
    manage_require(user=user, collection=collection)
    collection.name = _name_checked(name)
    try:
        with acting_as(user):
            collection.save(update_fields=["name"])
            audit(user=user, action="collection_rename", subject=str(collection_id), detail={"name": collection.name})
    except IntegrityError as error:
        raise Conflict(f"there is already a collection named '{collection.name}' of the same creator") from error
    return collection


def manage_require(*, user: User, collection: Collection) -> None:
    """Check that ``user`` may rename and erase ``collection`` and say who its members are.

    Raises:
        Forbidden: The user is not one of its owners.
    """
    if not may_manage(user, collection):
        raise Forbidden(f"only an owner of the collection '{collection.name}' may do this")


def memberships_of(*, user: User, collection_id: UUID) -> list[Membership]:
    """Return who has which role in a collection, groups last; for its owners.

    Raises:
        NotFound: It does not exist or ``user`` may not see it.
        Forbidden: ``user`` is not one of its owners.
    """
    collection = collection_get(user=user, collection_id=collection_id)
    manage_require(user=user, collection=collection)
    found = Membership.objects.filter(collection_id=collection.pk).select_related("user", "group")
    return list(found.order_by("user__username", "group__name"))


def _locked_for(collection: Collection, actor: User | None) -> Collection:
    locked = Collection.objects.select_for_update().filter(pk=collection.pk).first()
    if locked is None or (actor is not None and not _memberships(actor).filter(collection=locked).exists()):
        raise NotFound(f"there is no collection {collection.pk}")
    if actor is not None and not may_manage(actor, locked):
        raise Forbidden(f"only an owner of the collection '{locked.name}' says who its members are")
    return locked


def _owner_require(collection: Collection) -> None:
    if not Membership.objects.filter(collection=collection, role=Role.OWNER).exists():
        raise Conflict(f"the collection '{collection.name}' would be without an owner; name another one first")


def audit(*, user: User | None, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> AuditEntry:
    """Write down who did what to what; inside a transaction the entry stands or falls with it."""
    return AuditEntry.objects.create(user=user, action=action, subject=subject[:200], detail=dict(detail or {}))
