"""The Django application of core.documents."""

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    """Registers core.documents."""

    name = "core.documents"
    label = "documents"
    default_auto_field = "django.db.models.BigAutoField"
