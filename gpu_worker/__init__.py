"""Joins the others: Celery worker, pipelines, engine host."""
