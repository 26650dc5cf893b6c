"""The project of Celery's "Next steps"."""
