"""The tasks: shared, so that they belong to whatever application the factory makes. The worker: taskflow worker -A shop"""

from flask import current_app
from taskflow import shared_task


@shared_task(queue="shop", timeout=20, max_retries=5)
def count_words(text: str) -> int:
    """At most 20 seconds, which is less than the worker's grace. The application's context is there, as in a view."""
    current_app.logger.info("counting")
    return len(text.split())
