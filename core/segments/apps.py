"""The Django application of core.segments."""

from django.apps import AppConfig


class SegmentsConfig(AppConfig):
    """Registers core.segments."""

    name = "core.segments"
    label = "segments"
    default_auto_field = "django.db.models.BigAutoField"
