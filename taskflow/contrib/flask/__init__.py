"""taskflow in Flask: `init_app`, the application's context around each task, and `flask taskflow …`. See docs/flask.md.

Example:
    >>> from flask import Flask
    >>> from taskflow import shared_task
    >>> from taskflow.contrib.flask import FlaskTaskFlow
    >>> taskflow = FlaskTaskFlow()
    >>> @shared_task
    ... def welcome(user: int) -> None: ...
    >>> def create_app() -> Flask:
    ...     app = Flask("shop")
    ...     app.config["TASKFLOW"] = {"retention": 600}
    ...     app.config.from_prefixed_env()
    ...     taskflow.init_app(app)
    ...     return app
"""

from .extension import FlaskTaskFlow, get_taskflow

__all__ = ["FlaskTaskFlow", "get_taskflow"]
