"""Values, errors, protocols and engines; knows no Django, no Celery and no database."""
