"""The Django application of core.answers."""

from django.apps import AppConfig


class AnswersConfig(AppConfig):
    """Registers core.answers."""

    name = "core.answers"
    label = "answers"
    default_auto_field = "django.db.models.BigAutoField"
