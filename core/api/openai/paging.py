"""Lists in pages, by the last id of the page before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from core.api.openai.errors import RequestRefused

PAGE = 100
PAGE_MAX = 1000

Row = TypeVar("Row", bound=Model)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """Which page is wanted, by the time of creation."""

    limit: int
    newest_first: bool
    after: str | None

    def take(self, rows: QuerySet[Row], *, after: Any) -> tuple[list[Row], bool]:
        """Return the rows of the page, and whether more follow."""
        if after is not None:
            side = "lt" if self.newest_first else "gt"
            rows = rows.filter(
                Q(**{f"created_at__{side}": after.created_at})
                | Q(created_at=after.created_at, **{f"pk__{side}": after.pk})
            )
        order = ("-created_at", "-pk") if self.newest_first else ("created_at", "pk")
        found = list(rows.order_by(*order)[: self.limit + 1])
        return found[: self.limit], len(found) > self.limit


def page_asked(parameters: Mapping[str, str]) -> PageAsked:
    """Read ``limit``, ``order`` and ``after``.

    Raises:
        RequestRefused: One of them cannot be.
    """
    limit, order = parameters.get("limit", str(PAGE)), parameters.get("order", "desc")
    if not limit.isascii() or not limit.isdigit() or int(limit) < 1:
        raise RequestRefused(f"limit is a whole number from 1 to {PAGE_MAX}", param="limit")
    if order not in ("asc", "desc"):
        raise RequestRefused("order is asc or desc", param="order")
    return PageAsked(
        limit=min(int(limit), PAGE_MAX), newest_first=order == "desc", after=parameters.get("after") or None
    )


def page(rows: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return the form of a list."""
    return {
        "object": "list",
        "data": list(rows),
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": has_more,
    }
