"""A Flask application that enqueues in each request, and once while gunicorn loads it: before the fork, with --preload."""

from __future__ import annotations

from flask import Flask

from taskflow import shared_task
from taskflow.contrib.flask import FlaskTaskFlow


@shared_task(name="served")
def served(number: int) -> None:
    """What the requests enqueue."""


def create_app() -> Flask:
    """The factory."""
    app = Flask(__name__)
    FlaskTaskFlow(app)

    @app.get("/")
    def view() -> str:
        return served.delay(1).id

    @app.get("/other")
    async def other() -> str:
        """Flask gives each such request an event loop of its own."""
        return (await served.adelay(1)).id

    with app.app_context():
        served.delay(0)
    return app
