"""The search form's filters, checked."""

from __future__ import annotations

from typing import Any

from django import forms

from core.search.filters import Filter
from core.search.narrowing import Narrowing, narrowing_filter
from inference.values import SEGMENT_KINDS

SECONDS_PER_MINUTE = 60


class FilterForm(forms.Form):
    """What a search is narrowed to; every field may stay empty."""

    kind = forms.ChoiceField(
        choices=[("", "everything"), *((kind, kind) for kind in SEGMENT_KINDS)],
        required=False,
        widget=forms.Select(attrs={"aria-label": "Kind of passage"}),
    )
    tag = forms.CharField(max_length=500, required=False, label="Tags", help_text="with commas between them")
    language = forms.CharField(max_length=8, required=False, label="Language", help_text="such as de")
    speaker = forms.CharField(max_length=40, required=False, label="Speaker", help_text="such as S2")
    media_type = forms.CharField(max_length=120, required=False, label="File type", help_text="such as application/pdf")
    date_from = forms.DateField(required=False, label="Dated from", widget=forms.DateInput(attrs={"type": "date"}))
    date_to = forms.DateField(required=False, label="Dated until", widget=forms.DateInput(attrs={"type": "date"}))
    page_from = forms.IntegerField(required=False, min_value=1, max_value=10**6, label="From page")
    page_to = forms.IntegerField(required=False, min_value=1, max_value=10**6, label="To page")
    minute_from = forms.FloatField(required=False, min_value=0, max_value=10**6, label="After minute")
    minute_to = forms.FloatField(required=False, min_value=0, max_value=10**6, label="Before minute")
    around = forms.BooleanField(required=False, label="Show what stands around each hit")

    def narrowing(self) -> Filter | None:
        """Return the filter of a form that is valid."""
        given: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}
        for name in ("kind", "language", "speaker", "media_type"):
            if name in given:
                given[name] = [given[name].strip()]
        if "tag" in given:
            given["tag"] = [tag.strip() for tag in given["tag"].split(",") if tag.strip()]
        for minute, second in (("minute_from", "time_from_s"), ("minute_to", "time_to_s")):
            if minute in given:
                given[second] = given[minute] * SECONDS_PER_MINUTE
        return narrowing_filter(Narrowing.of(given))

    def problem(self) -> str:
        """Return what is wrong with the form, in one sentence; nothing when it is valid."""
        return "; ".join(
            f"{self.fields[name].label or name}: {' '.join(map(str, errors))}" for name, errors in self.errors.items()
        )
