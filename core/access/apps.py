"""The Django application of core.access."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Registers core.access."""

    name = "core.access"
    label = "access"
    default_auto_field = "django.db.models.BigAutoField"
