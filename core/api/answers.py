"""Questions and their answers."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.lookup import collection_by_name
from core.answers.service import answer_cancel, answer_create, answer_get, answer_json
from core.api.requests import user_of


class QuestionSerializer(serializers.Serializer[dict[str, str]]):
    """A question about one collection."""

    question = serializers.CharField(max_length=4000)
    collection = serializers.CharField(max_length=200, help_text="Name or id.")
    conversation = serializers.UUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Id of an earlier answer of yours: the question goes on with its conversation.",
    )


class AnswerListView(APIView):
    """Asking."""

    @extend_schema(request=QuestionSerializer, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Ask a question; follow ``/api/answers/{id}/events`` for tokens, checked sentences and the final answer."""
        fields = QuestionSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        user = user_of(request)
        collection = collection_by_name(user=user, name_or_id=fields.validated_data["collection"])
        answer = answer_create(
            user=user,
            collection_id=collection.pk,
            question=fields.validated_data["question"],
            follows=fields.validated_data["conversation"],
        )
        return Response(answer_json(answer), status=status.HTTP_201_CREATED)


class AnswerView(APIView):
    """One stored answer."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, answer_id: UUID) -> Response:
        """Return an answer of your own with its citations and the evidence it rests on."""
        return Response(answer_json(answer_get(user=user_of(request), answer_id=answer_id)))

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, answer_id: UUID) -> Response:
        """Cancel the generation of an answer within a second; what was said so far is kept."""
        answer_cancel(user=user_of(request), answer_id=answer_id)
        return Response(status=status.HTTP_204_NO_CONTENT)
