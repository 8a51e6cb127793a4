"""The Django application of core.jobs."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers core.jobs."""

    name = "core.jobs"
    label = "jobs"
    default_auto_field = "django.db.models.BigAutoField"
