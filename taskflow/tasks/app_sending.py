"""An app and tasks by their names: also those that it does not know, such as handlers in Go or tasks of another service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ..errors import InvalidArguments, TaskNotRegistered
from ..message.ids import check_task_name
from ..message.parameters import wire_name
from ..message.returns import Returns
from ..message.signature import Signature
from ..options import Options
from .app_celery import AppCelery
from .app_results import Handle
from .sender import CallMaker


class AppSending(AppCelery):
    """The part of an app that enqueues by name."""

    def send(self, name: str, /, *args: Any, queue: str | None = None, **kwargs: Any) -> Handle:
        """Enqueue a call of a task by its name.

        A task that the app knows is called as by `.delay()`: its declaration says where it goes, and its arguments are checked.
        Of any other nothing is known but its name: a handler in Go, or a task of another service. Its arguments travel as one
        JSON object of their names, as every task's do, so they have to be given by name; with the app's own options, to its
        default queue unless one is named.

        Args:
            name: the task's name.
            *args: positional arguments, only for a task that the app knows: how others call them is not known here.
            queue: the queue; without it, the task's own, or the app's default one.
            **kwargs: arguments by name. A Python keyword is given with an underscore after it, and travels without: `from_=1`.

        Returns:
            A handle; what an unknown task returns is what its JSON holds.

        Raises:
            InvalidArguments: they do not fit, or have no names; or the task has a parameter `queue`: give that by `send_task`.
            EnqueueError: as for `.delay()`.

        Example:
            >>> app.send("email:deliver", queue="mail", user_id=42)        # doctest: +SKIP
        """
        return self._named(name, args, queue).apply_async(args, self._arguments(name, kwargs), queue=queue)

    async def asend(self, name: str, /, *args: Any, queue: str | None = None, **kwargs: Any) -> Handle:
        """As `send`, from a coroutine."""
        task = self._named(name, args, queue)
        return await task.aapply_async(args, self._arguments(name, kwargs), queue=queue)

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """As `send`, Celery's way: the arguments in a tuple and a dict, the options beside them.

        Args:
            name: the task's name.
            args: its positional arguments, only for a task that the app knows.
            kwargs: its arguments by name; for a task that the app does not know, as JSON has them.
            **options: see `taskflow.Options`.

        Example:
            >>> app.send_task("email:deliver", kwargs={"user_id": 42}, queue="mail", countdown=60)     # doctest: +SKIP
        """
        return self._named(name, args).apply_async(args, kwargs, **options)

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Handle:
        """As `send_task`, from a coroutine."""
        return await self._named(name, args).aapply_async(args, kwargs, **options)

    def _named(self, name: str, args: Sequence[Any] | None, queue: str | None = None) -> CallMaker[Any, Any]:
        """What makes calls of a task of this name; `queue` is the one that stands beside the arguments."""
        try:
            task = self.get_task(name)
        except TaskNotRegistered:
            if args:
                raise InvalidArguments(
                    f"task {name!r}: this app does not know it, so nobody here knows what its arguments are called: give them "
                    "by name, as in app.send(name, user_id=42)"
                ) from None
            return self._unknown(check_task_name(name))
        if queue is not None and any(one.name == "queue" for one in task._signature.parameters.named):
            raise InvalidArguments(
                f"task {name!r} has a parameter `queue`, and queue= of app.send() is where the call goes: give the argument by "
                'app.send_task(name, kwargs={"queue": ...})'
            )
        return task

    def _unknown(self, name: str) -> CallMaker[Any, Any]:
        task: CallMaker[Any, Any] = CallMaker(self, name, self._defaults, _ANYTHING, Returns(_anything))
        if self._has_rules:
            task._rest_on(self._defaults_of(task))
        return task

    def _arguments(self, name: str, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was given by name; for a task that is somewhere else, by the names that it has in JSON."""
        if name in self.tasks:
            return kwargs
        return {wire_name(key): value for key, value in kwargs.items()}


def _anything(**arguments: Any) -> Any:
    """Stands for the function of a task that is somewhere else."""


_ANYTHING = Signature.of(_anything)
