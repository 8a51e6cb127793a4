"""Long lists in pages: ``?limit=`` and ``?offset=``; the answer says how many there are and where the next begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

PAGE_MAX: Final = 1000
OFFSET_MAX: Final = 2**31 - 1


class PageSerializer(serializers.Serializer[dict[str, int]]):
    """Which part of a list is wanted."""

    limit = serializers.IntegerField(min_value=1, max_value=PAGE_MAX, default=PAGE_MAX)
    offset = serializers.IntegerField(min_value=0, max_value=OFFSET_MAX, default=0)


PAGE_PARAMETERS: Final[Sequence[OpenApiParameter | type[serializers.Serializer[Any]]]] = [PageSerializer]


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """One page of rows.

    Attributes:
        rows: In order.
        total: Rows of the whole list.
        following: Offset of the next page; None after the last.
    """

    rows: list[Any]
    total: int
    following: int | None

    def as_json(self) -> dict[str, int | None]:
        """Return what every list says beside its rows."""
        return {"total": self.total, "next": self.following}


def page_of(request: Request, found: QuerySet[Any, Any]) -> Page:
    """Read the wanted page of ordered rows; inside the caller's identity."""
    fields = PageSerializer(data=request.query_params)
    fields.is_valid(raise_exception=True)
    limit, offset = fields.validated_data["limit"], fields.validated_data["offset"]
    rows: list[Model] = list(found[offset : offset + limit])
    total = offset + len(rows) if 0 < len(rows) < limit or not offset + len(rows) else found.count()
    return Page(rows=rows, total=total, following=offset + limit if offset + limit < total else None)
