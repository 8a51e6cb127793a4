"""The Django application of core.web."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Registers core.web."""

    name = "core.web"
    label = "web"
    default_auto_field = "django.db.models.BigAutoField"
