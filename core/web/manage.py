"""The pages' actions: on documents and their jobs, on members, on whole collections; each makes one domain call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import Group
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from core.access.errors import CloisterError, NotFound
from core.access.models import Collection, Role, User
from core.access.service import (
    collection_get,
    collection_rename,
    manage_require,
    may_edit,
    membership_remove,
    membership_set,
    memberships_of,
)
from core.access.throttle import throttle_left, throttle_take
from core.documents.service import document_get
from core.erasure.service import collection_erase, document_erase
from core.jobs.control import job_cancel, job_latest, job_retry
from core.settings.env import env
from core.web.views import document_rows

Action = Callable[[User, UUID], object]


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _cancel(user: User, document_id: UUID) -> object:
    return job_cancel(user=user, job_id=job_latest(user=user, document_id=document_id).pk)


def _retry(user: User, document_id: UUID) -> object:
    return job_retry(user=user, job_id=job_latest(user=user, document_id=document_id).pk)


def _erase(user: User, document_id: UUID) -> object:
    return document_erase(user=user, document_id=document_id)


DOCUMENT_ACTIONS: dict[str, Action] = {"cancel": _cancel, "retry": _retry, "erase": _erase}


@login_required
@require_POST
def document_act(request: HttpRequest, document_id: UUID, action: str) -> HttpResponse:
    """Cancel, retry or erase a document, and render its collection's table anew."""
    user = _user(request)
    if action not in DOCUMENT_ACTIONS:
        raise Http404(f"there is no action '{action}'")
    try:
        collection = document_get(user=user, document_id=document_id).collection
    except NotFound as error:
        raise Http404(str(error)) from error
    problem = _problem(lambda: DOCUMENT_ACTIONS[action](user, document_id))
    context = {
        "collection": collection,
        "may_edit": may_edit(user, collection),
        "problem": problem,
        **document_rows(user, collection),
    }
    return render(request, "web/documents.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def members(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Show who is in a collection, for its owners; POST gives a role or takes it away."""
    user, collection = _owned(request, collection_id)
    if request.method == "POST":
        _tell(request, lambda: _member_change(user, collection, request))
        return redirect("members", collection_id)
    context = {
        "collection": collection,
        "members": memberships_of(user=user, collection_id=collection_id),
        "roles": Role.values,
    }
    return render(request, "web/members.html", context)


def _member_change(user: User, collection: Collection, request: HttpRequest) -> None:
    kind, name, role = (request.POST.get(field, "").strip() for field in ("kind", "name", "role"))
    member: dict[str, Any] = {"group" if kind == "group" else "user": _named(kind, name)}
    if role:
        membership_set(collection=collection, role=role, actor=user, **member)
    else:
        membership_remove(collection=collection, actor=user, **member)


def _named(kind: str, name: str) -> User | Group:
    name = name.replace("\x00", "")
    found = Group.objects.filter(name=name).first() if kind == "group" else User.objects.filter(username=name).first()
    if found is None:
        raise NotFound(f"there is no {'group' if kind == 'group' else 'user'} '{name}'")
    return found


@login_required
@require_POST
def collection_change(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Rename a collection."""
    user, _ = _owned(request, collection_id)
    name = request.POST.get("name", "")
    _tell(request, lambda: collection_rename(user=user, collection_id=collection_id, name=name))
    return redirect("members", collection_id)


@login_required
@require_POST
def collection_remove(request: HttpRequest, collection_id: UUID) -> HttpResponse:
    """Erase a collection with everything in it, where its name was typed once more."""
    user, collection = _owned(request, collection_id)
    if request.POST.get("name", "").strip() != collection.name:
        messages.error(request, "Nothing was erased: the name does not match.")
        return redirect("members", collection_id)
    receipt = collection_erase(user=user, collection_id=collection_id)
    messages.success(request, f"'{receipt.name}' is erased, with {len(receipt.documents)} documents.")
    return redirect("home")


def _owned(request: HttpRequest, collection_id: UUID) -> tuple[User, Collection]:
    user = _user(request)
    try:
        collection = collection_get(user=user, collection_id=collection_id)
        manage_require(user=user, collection=collection)
    except CloisterError as error:
        # A reader is not told that there is such a page.
        raise Http404(str(error)) from error
    return user, collection


def _tell(request: HttpRequest, act: Callable[[], object]) -> None:
    if problem := _problem(act):
        messages.error(request, problem)


def _problem(act: Callable[[], object]) -> str:
    try:
        act()
    except CloisterError as error:
        return str(error)
    return ""


class ThrottledLoginView(LoginView):
    """Logging in; after too many wrong passwords for one name from one address it refuses to look at more."""

    template_name = "web/login.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refuse with 429 while there were too many."""
        wait_s = throttle_left(scope="login", who=self._who(), per_minute=env().failed_logins_per_minute)
        if not wait_s:
            return super().post(request, *args, **kwargs)
        context = self.get_context_data(form=AuthenticationForm(request), wait_s=wait_s)
        refused = self.render_to_response(context, status=429)
        refused["Retry-After"] = str(wait_s)
        return refused

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Count a wrong password."""
        throttle_take(scope="login", who=self._who(), per_minute=env().failed_logins_per_minute)
        return super().form_invalid(form)

    def _who(self) -> str:
        name = self.request.POST.get("username", "").strip().casefold()[:150]
        return f"{self.request.META.get('REMOTE_ADDR', '')}:{name}"
