"""The audit log: who did what to what."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.lookup import collection_by_name
from core.access.people import audit_entries
from core.api.paging import PageSerializer, page_of
from core.api.requests import user_of


class AuditFilterSerializer(PageSerializer):
    """Which entries are wanted."""

    collection = serializers.CharField(max_length=200, required=False, help_text="Name or id; owners may ask for it.")
    action = serializers.CharField(max_length=60, required=False)


class AuditView(APIView):
    """The log."""

    @extend_schema(operation_id="audit_list", parameters=[AuditFilterSerializer], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """List entries, newest first: all to administrators, those of one collection to its owners."""
        user = user_of(request)
        fields = AuditFilterSerializer(data=request.query_params)
        fields.is_valid(raise_exception=True)
        named = fields.validated_data.get("collection")
        collection = collection_by_name(user=user, name_or_id=named) if named else None
        found = audit_entries(user=user, collection_id=collection.pk if collection else None)
        if "action" in fields.validated_data:
            found = found.filter(action=fields.validated_data["action"])
        page = page_of(request, found)
        return Response(
            {
                "entries": [
                    {
                        "at": entry.at.isoformat(),
                        "user": entry.user.username if entry.user else None,
                        "action": entry.action,
                        "subject": entry.subject,
                        "detail": entry.detail,
                    }
                    for entry in page.rows
                ],
                **page.as_json(),
            }
        )
