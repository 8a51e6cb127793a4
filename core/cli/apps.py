"""The Django application of core.cli."""

from django.apps import AppConfig


class CliConfig(AppConfig):
    """Registers core.cli."""

    name = "core.cli"
    label = "cli"
    default_auto_field = "django.db.models.BigAutoField"
