"""Embedding spaces, for administrators: what there is, filling, comparing, switching and going back."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.access.errors import NotFound
from core.api.requests import user_of
from core.remote import space_embed
from core.search.comparison import Question, questions_sampled, spaces_compare
from core.segments.fill import fill_start
from core.segments.models import SpaceName
from core.segments.service import space_active
from core.segments.spaces import space_get
from core.segments.switching import space_summary, space_switch, space_switch_back, spaces_summary

QUESTIONS_MAX = 1000


class LabelledQuestionSerializer(serializers.Serializer[dict[str, Any]]):
    """A labelled question."""

    question = serializers.CharField(max_length=4000)
    expected = serializers.CharField(max_length=1000, required=False, help_text="Words that an answer holds.")


class ComparisonSerializer(serializers.Serializer[dict[str, Any]]):
    """What to ask both spaces."""

    questions = LabelledQuestionSerializer(
        many=True, required=False, help_text="Without them, beginnings of stored segments."
    )
    sample = serializers.IntegerField(min_value=1, max_value=QUESTIONS_MAX, default=50)

    def validate_questions(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Refuse more than an administrator would wait for."""
        if len(given) > QUESTIONS_MAX:
            raise serializers.ValidationError(f"give at most {QUESTIONS_MAX} questions")
        return given


class SwitchSerializer(serializers.Serializer[dict[str, Any]]):
    """How to switch."""

    force = serializers.BooleanField(default=False, help_text="Also to a space that is not complete.")


class RollbackSerializer(SwitchSerializer):
    """Which kind of space goes back."""

    name = serializers.ChoiceField(choices=SpaceName.choices)


class SpaceAdminView(APIView):
    """What all views of spaces share: administrators alone."""

    permission_classes = [IsAdminUser]


class SpaceListView(SpaceAdminView):
    """All spaces."""

    @extend_schema(operation_id="space_list", responses=OpenApiTypes.OBJECT)
    def get(self, _request: Request) -> Response:
        """Return every space with how far it is."""
        return Response({"spaces": [summary.as_json() for summary in spaces_summary()]})


class SpaceView(SpaceAdminView):
    """One space."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, _request: Request, space_id: int) -> Response:
        """Return one space with how far it is."""
        return Response(space_summary(space_get(space_id)).as_json())


class SpaceFillView(SpaceAdminView):
    """Filling a space."""

    @extend_schema(request=None, responses={202: OpenApiTypes.OBJECT})
    def post(self, _request: Request, space_id: int) -> Response:
        """Have the workers embed every segment that lacks its vector in this space; one that was broken off goes on."""
        space = space_get(space_id)
        fill_start(space_id=space.pk, now=timezone.now())
        return Response(space_summary(space).as_json(), status=202)


class SpaceCompareView(SpaceAdminView):
    """Comparing a space with the active one."""

    @extend_schema(request=ComparisonSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, space_id: int) -> Response:
        """Ask this space and the active one of its name the same questions."""
        fields = ComparisonSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        wanted = fields.validated_data
        new = space_get(space_id)
        old = space_active(new.name)
        if old is None:
            raise NotFound(f"no space '{new.name}' is active")
        given = [Question(text=one["question"], expected=one.get("expected")) for one in wanted.get("questions", ())]
        compared = spaces_compare(
            old=old,
            new=new,
            questions=given or questions_sampled(wanted["sample"]),
            embed=lambda digest, texts: space_embed(digest=digest, texts=texts),
        )
        return Response({"old_space": old.pk, "new_space": new.pk, **compared.as_json()})


class SpaceActivateView(SpaceAdminView):
    """Switching to a space."""

    @extend_schema(request=SwitchSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, space_id: int) -> Response:
        """Let this space answer searches in place of the active one of its name."""
        fields = SwitchSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        space = space_switch(
            reference=space_id, now=timezone.now(), user=user_of(request), force=fields.validated_data["force"]
        )
        return Response(space_summary(space).as_json())


class SpaceRollbackView(SpaceAdminView):
    """Going back."""

    @extend_schema(request=RollbackSerializer, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Let the space that answered before answer again."""
        fields = RollbackSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        wanted = fields.validated_data
        space = space_switch_back(name=wanted["name"], now=timezone.now(), user=user_of(request), force=wanted["force"])
        return Response(space_summary(space).as_json())


space_paths = [
    path("spaces", SpaceListView.as_view()),
    path("spaces/rollback", SpaceRollbackView.as_view()),
    path("spaces/<int:space_id>", SpaceView.as_view()),
    path("spaces/<int:space_id>/fill", SpaceFillView.as_view()),
    path("spaces/<int:space_id>/compare", SpaceCompareView.as_view()),
    path("spaces/<int:space_id>/activate", SpaceActivateView.as_view()),
]
