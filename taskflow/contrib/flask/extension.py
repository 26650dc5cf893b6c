"""The extension: it makes the `TaskFlow` of a Flask application, and puts the application's context around each task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask, current_app, has_app_context

from taskflow import CurrentTask, TaskFlow
from taskflow.errors import ConfigurationError

from .commands import FlaskCommands
from .settings import options_of

NAME = "taskflow"
"""Of the entry in `app.extensions`, and of the command."""


class FlaskTaskFlow:
    """taskflow, as an extension of Flask: one for any number of applications, each of which gets a `TaskFlow` of its own.

    Args:
        app: the application; without it, call `init_app` in the factory.
        **options: what `TaskFlow` takes, where `app.config["TASKFLOW"]` does not say otherwise.

    Raises:
        ConfigurationError: as `init_app`.

    Example:
        >>> taskflow = FlaskTaskFlow(retention=600)
        >>> def create_app() -> Flask:
        ...     app = Flask("shop")
        ...     app.config.from_prefixed_env()      # FLASK_TASKFLOW__BROKER=redis://…
        ...     taskflow.init_app(app)
        ...     return app
    """

    def __init__(self, app: Flask | None = None, **options: Any) -> None:
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> TaskFlow:
        """Make the `TaskFlow` of an application, from `app.config["TASKFLOW"]`, which is read now.

        It is `app.extensions["taskflow"]` from then on; tasks of `shared_task` belong to it, and where the application's context
        is, they are enqueued with it. The command `flask taskflow …` is added, and `-A` understands the application.

        Args:
            app: the application.

        Returns:
            Its `TaskFlow`, for middleware, hooks, resources and listeners.

        Raises:
            ConfigurationError: the application has one already, or its settings cannot be; `UnknownOption`, `InvalidOption` and
                `InvalidBrokerURL` are of this kind.
        """
        if NAME in app.extensions:
            raise ConfigurationError(
                f"the application {app.name!r} has a TaskFlow already: call init_app once for each application"
            )
        made = TaskFlow(**{"name": app.name, **self._options, **options_of(app.config)})

        @made.middleware
        def application_context(task: CurrentTask) -> Iterator[None]:
            # The first that is registered, so the outermost: what others do around tasks has the context, too. It is a new one
            # for each task, and its end removes what is kept for a context, such as Flask-SQLAlchemy's session.
            with app.app_context():
                yield

        app.extensions[NAME] = made
        app.__taskflow__ = made  # type: ignore[attr-defined]  # by this `-A` finds it
        app.cli.add_command(FlaskCommands(NAME))
        TaskFlow.find_current_by(_of_the_context)
        return made


def get_taskflow() -> TaskFlow:
    """The `TaskFlow` of the application whose context is here, such as that of a request.

    Raises:
        RuntimeError: there is no context of an application here, as Flask says it.
        ConfigurationError: the application has none.

    Example:
        >>> @app.get("/tasks/<id>")                                         # doctest: +SKIP
        ... def show(id: str):
        ...     return {"state": get_taskflow().result(id).state}
    """
    made: TaskFlow | None = current_app.extensions.get(NAME)
    if made is None:
        raise ConfigurationError(
            f"the application {current_app.name!r} has no TaskFlow: call FlaskTaskFlow().init_app(app) where it is made"
        )
    return made


def _of_the_context() -> TaskFlow | None:
    """With several applications in a process, a request of one enqueues with its own."""
    return current_app.extensions.get(NAME) if has_app_context() else None
