"""`--preload`: children are forked from a process that has imported the app, the template, so that they share its memory.

The template is no child: it never has a task, and the worker can do without it at any time. Where it must not be forked, or the
system cannot give its children to the worker, children are started as ever, and the log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket

import msgspec

from ...errors import AppNotFound
from ...pipe import preloading, shared_marks
from ..config import WorkerConfig
from ..launch import launch_template, socket_pair
from .forked import ORPHANS, Forked, adopt_orphans
from .process import ChildProcess, signal_name

logger = logging.getLogger("taskflow.worker")

Started = tuple[socket.socket, int, ChildProcess]
"""Our end of a child's socket, the memory of its marks, and its process."""


class Template:
    """One such process, which imports the app now, or has.

    Args:
        config: how the worker runs.

    Raises:
        OSError: it cannot be started now.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._control, process = launch_template(config)
        self.process = ChildProcess(process)
        self.closed = False
        self._asking = asyncio.Lock()
        self.life = asyncio.ensure_future(self.process.wait())
        self.ready = asyncio.ensure_future(self._hear())
        """What it said first."""

    async def fork(self, slots: int) -> Started | preloading.Unfit:
        """Let it fork a child.

        Raises:
            EOFError: it has ended.
            OSError: it cannot fork now.
        """
        ours, theirs = socket_pair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            memory = shared_marks.create()
            undo.callback(os.close, memory)
            async with self._asking:
                ORPHANS.coming += 1
                try:
                    answer = await self._ask(slots, theirs.fileno(), memory)
                    if isinstance(answer, preloading.Unfit):
                        return answer
                    if not (isinstance(answer, preloading.Forked) and answer.pid):
                        raise OSError(
                            f"the template process {self.process.pid} could not fork: {_why(answer)}"
                        )
                    process = ChildProcess(Forked(answer.pid))
                except asyncio.CancelledError:
                    self.close()  # its answer would be taken for the next one's
                    raise
                finally:
                    ORPHANS.coming -= 1
            undo.pop_all()
        return ours, memory, process

    async def _ask(self, slots: int, connection: int, memory: int) -> preloading.FromTemplate:
        main_thread = self._config.pool == "processes"
        request = preloading.packet(preloading.Fork(slots, main_thread, self._config.max_message))
        if self.closed:
            raise EOFError
        try:
            socket.send_fds(self._control, [request], [connection, memory])
        except ConnectionError:
            raise EOFError from None
        return await self._hear()

    async def _hear(self) -> preloading.FromTemplate:
        """The next thing that it says; by its end, too, and not only by its socket's: see `ChildProcess.wait`.

        Raises:
            EOFError: it has ended.
        """
        loop = asyncio.get_running_loop()
        hearing = asyncio.ensure_future(loop.sock_recv(self._control, preloading.LONGEST_PACKET))
        try:
            await asyncio.wait({hearing, self.life}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                await asyncio.wait({hearing}, timeout=0.05)  # what it said before its end
            data = hearing.result() if hearing.done() else b""
            if not data:
                raise EOFError
            return preloading.decode_from_template(data)
        except (OSError, msgspec.MsgspecError):
            raise EOFError from None
        finally:
            hearing.cancel()

    def close(self) -> None:
        """End it: it holds nothing."""
        if not self.closed:
            self.closed = True
            self.ready.cancel()
            if not self.life.done():
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
            self._control.close()


class Preloading:
    """Keeps a template, and has children forked.

    Args:
        config: how the worker runs.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._template: Template | None = None
        self._is_off = False
        self._closed = False
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self, slots: int) -> Started | None:
        """Have a child forked that has not said anything yet; None: it is to be started as ever.

        Raises:
            AppNotFound: the app cannot be imported.
            OSError: no child can be forked now.
        """
        if self._is_off:
            return None
        if not adopt_orphans():
            self._give_up("--preload needs Linux (prctl with PR_SET_CHILD_SUBREAPER)")
            return None
        ORPHANS.begin()
        template = await self._ready()
        if template is None:
            return None
        try:
            answer = await template.fork(slots)
        except EOFError:
            self._drop(template)
            raise OSError(f"the template process {template.process.pid} has ended") from None
        if isinstance(answer, preloading.Unfit):
            self._unfit(template, answer)
            return None
        return answer

    def renew(self) -> None:
        """The code may be another: the next child comes from a new template, or from none if that is not fit."""
        self._is_off = False
        if self._template is not None:
            self._drop(self._template)

    def close(self) -> None:
        """Nothing more is forked."""
        self._closed = True
        for task in self._watching:
            task.cancel()
        if self._template is not None:
            self._drop(self._template)

    async def _ready(self) -> Template | None:
        """The template, once it has imported the app; None: it must not be forked."""
        if self._closed:
            raise OSError("the worker stops")
        template = self._template
        if template is None:
            template = self._template = Template(self._config)
            self._watch(template)
        try:
            said = await asyncio.shield(template.ready)
        except EOFError:
            self._drop(template)
            raise AppNotFound(
                f"the child process ended while it imported the app {self._config.app!r}"
            ) from None
        except asyncio.CancelledError:
            if not template.closed:
                raise
            raise OSError("the template process was replaced") from None
        if isinstance(said, preloading.Ready):
            return template
        if isinstance(said, preloading.Unfit):
            self._unfit(template, said)
            return None
        self._drop(template)
        if isinstance(said, preloading.Failed):
            raise AppNotFound(said.error, details=said.traceback)
        raise OSError("the template process said something unexpected")

    def _unfit(self, template: Template, said: preloading.Unfit) -> None:
        if template is self._template:  # several may have waited for it
            self._give_up(f"the import of {self._config.app} {said.why}, which a fork would break or share")
        self._drop(template)

    def _give_up(self, why: str) -> None:
        self._is_off = True
        logger.warning("Children are started one by one, as without --preload: %s", why)

    def _drop(self, template: Template) -> None:
        template.close()
        if template is self._template:
            self._template = None

    def _watch(self, template: Template) -> None:
        task = asyncio.create_task(self._succeed(template))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _succeed(self, template: Template) -> None:
        """When a template has ended by itself, another one imports the app before a child is wanted."""
        try:
            code = await asyncio.shield(template.life)
        except asyncio.CancelledError:
            self._drop(template)  # the worker ends
            raise
        imported = template.ready.done() and not template.ready.cancelled() and not template.ready.exception()
        if template is not self._template or not imported:
            return  # who has waited for it says what is wrong
        if not isinstance(template.ready.result(), preloading.Ready):
            return
        self._drop(template)
        pid, how = template.process.pid, signal_name(code)
        logger.warning(
            "The template process %d has ended (%s); children go on, and a new one is started", pid, how
        )
        await asyncio.sleep(self._config.timings.first_restart)
        try:
            await self._ready()
        except (AppNotFound, OSError) as error:
            logger.error(
                "A new template process could not start: %s; it is tried again for the next child", error
            )


def _why(answer: preloading.FromTemplate) -> str:
    return answer.error if isinstance(answer, preloading.Forked) else "it said something unexpected"
