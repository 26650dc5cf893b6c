"""A task that needs no model."""

from taskflow import shared_task


@shared_task
def greet(name: str = "you") -> str:
    """Greet."""
    return f"hello {name}"
