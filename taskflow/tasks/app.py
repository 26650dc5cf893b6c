"""`TaskFlow`: the app that tasks belong to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from ..connection.url import parse
from ..errors import InvalidOption
from ..message.ids import check_queue_name
from ..message.message_crypto import MessageCrypto
from ..message.offload import DEFAULT_OVER, LONGEST_ENQUEUE, Offload
from ..options import BOTTOM, Defaults, Scope, TaskOptions, merge
from ..partitions import QueueOptions, check_queues, partition_name
from ..pipe.frames import DEFAULT_MOST_MESSAGE
from ..project import calling_file
from ..telemetry.telling import Audience
from .app_cancelling import AppCancelling
from .app_events import AppEvents
from .app_hooks import AppHooks
from .app_outbox import AppOutbox
from .by_value import CALL, CALL_ASYNC, AsyncSubmit, ByValueTask, Submit
from .eager_variable import is_eager
from .embedded_worker import AppWorker
from .registry import register, shared

if TYPE_CHECKING:
    from ..stores.protocol import Store

DEFAULT_MAX_PAYLOAD = 1024 * 1024


class TaskFlow(AppWorker, AppEvents, AppHooks, AppCancelling, AppOutbox):
    """An app: its tasks, and the broker that they go through.

    Args:
        name: for logs and banners.
        broker: the broker's URL (see `taskflow.connection.url.parse`). Without it `TASKFLOW_BROKER`, and
            without that the development server of the project, started when it is first needed (docs/embedded.md).
        include: modules to import before work starts, for tasks that nothing else imports.
        max_payload: bytes that the encoded arguments of one call may have: 1 MB, with a `store` 64 MB, unless given.
        eager: run tasks where they are enqueued, for tests, with all that a worker would decide. Without it `TASKFLOW_EAGER`
            (1 or 0). See docs/eager.md.
        eager_propagates: in eager mode, raise at `.delay()` the exception with which a task is archived, instead of keeping
            it for `.get()`.
        signing_keys: secrets of 16 bytes or more. The first signs what is enqueued; workers run only what one
            of them has signed, and archive everything else unread. Without it `TASKFLOW_SIGNING_KEYS`
            (separated by commas). Needed for `submit`. See docs/security.md.
        encryption_keys: secrets of 16 bytes or more. The first encrypts arguments and results, every one of
            them decrypts. Without it `TASKFLOW_ENCRYPTION_KEYS`. Needs the extra `crypto`.
        accept_unsigned_results: with keys, `get()` refuses a result that nobody with these keys has written; True takes
            one that is not signed (or, with encryption keys alone, not encrypted), as workers in Go write it.
        error_text: keep the text of a task's exceptions as its error, for `TaskFailed` and the tools; False
            keeps the exception's type only. (Logs never have the text.)
        queues: options of queues by name, as `{"images": {"partitions": 6}}`: that queue's tasks are spread over six key
            slots, so over several nodes of a cluster. See docs/partitions.md.
        task_cls: what tasks without `base=` are made of: a class derived from `taskflow.Task`. See docs/celery.md.
        store: where large arguments and results are kept, instead of in the broker: `FolderStore`, `S3Store`, or anything with
            `put`, `get` and `delete` (`Store`). Every program that enqueues, runs or reads them needs the same. See
            docs/serialization.md.
        store_over: bytes over which they are.
        project: a file of the project that the app belongs to, where it is not made in a file of the project's: whose development
            server is used where no broker is given.
        **defaults: options for every task, such as `queue`, `max_retries`, `retention`, `enqueue_timeout`.

    Attributes:
        submit: enqueues a call of any function by value: `app.submit(lambda: crunch(1))`; with options,
            `app.submit.options(retention=600)(crunch, 1)`. Only with signing keys. See `Submit`.
        asubmit: the same from a coroutine.

    Raises:
        InvalidBrokerURL: the URL cannot be understood.
        InvalidOption: a key is too short, or given twice; a variable for keys is set and holds none; or a queue cannot have
            so many partitions.
        UnknownOption: there is no such option, or it is for one call (`id`, `eta`, `expires`, ...).

    Example:
        >>> from taskflow import TaskFlow
        >>> app = TaskFlow("shop", broker="redis+cluster://127.0.0.1:7000,127.0.0.1:7001")
        >>> @app.task(queue="images", name="images:resize", max_retries=5, timeout=30)
        ... def resize(src: str, width: int = 800) -> str:
        ...     return f"{src} at {width}"
        >>> resize("a.png")
        'a.png at 800'
        >>> resize.delay("a.png")          # doctest: +SKIP
        AsyncResult(id='…', queue='images')
    """

    def __init__(
        self,
        name: str = "taskflow",
        *,
        broker: str | None = None,
        include: Sequence[str] = (),
        max_payload: int | None = None,
        eager: bool | None = None,
        eager_propagates: bool = False,
        signing_keys: Sequence[str | bytes] | None = None,
        encryption_keys: Sequence[str | bytes] | None = None,
        accept_unsigned_results: bool = False,
        error_text: bool = True,
        queues: Mapping[str, QueueOptions] | None = None,
        task_cls: type[Any] | None = None,
        store: Store | None = None,
        store_over: int = DEFAULT_OVER,
        project: str | os.PathLike[str] | None = None,
        **defaults: Unpack[Defaults],
    ) -> None:
        if max_payload is None:
            max_payload = DEFAULT_MAX_PAYLOAD if store is None else DEFAULT_MOST_MESSAGE
        if isinstance(max_payload, bool) or not isinstance(max_payload, int) or max_payload < 2:
            raise InvalidOption("max_payload must be a number of bytes, from 2")
        layer = TaskOptions.of(defaults, Scope.APP)
        if broker is not None:
            parse(broker)
        self.name = name
        self._include = tuple(include)
        self._max_payload = max_payload
        self.eager = is_eager() if eager is None else eager
        self.eager_propagates = eager_propagates
        self._error_text = error_text
        self._partitions = check_queues(queues)
        for queue, count in self._partitions.items():
            check_queue_name(queue)
            check_queue_name(partition_name(queue, count - 1))
        offload = None if store is None else Offload(store, store_over, self._note_stored)
        if offload is not None and (layer.enqueue_timeout or 0) > LONGEST_ENQUEUE:
            raise InvalidOption(
                f"enqueue_timeout is over {LONGEST_ENQUEUE:g} s, which an app with a store may not have: what waits longer for "
                "its task is taken for garbage"
            )
        self._crypto = MessageCrypto.of(
            signing_keys,
            encryption_keys,
            signing_environment=os.environ.get("TASKFLOW_SIGNING_KEYS"),
            encryption_environment=os.environ.get("TASKFLOW_ENCRYPTION_KEYS"),
            accept_unsigned_results=accept_unsigned_results,
            offload=offload,
        )
        self.tasks = {}
        self._aggregations = {}
        self._queues = {}
        self._conf = None
        self._settings = {}
        self._routes = None
        self._annotations = None
        self._has_rules = False
        self._set_task_class(task_cls)
        self._discoveries = []
        self._broker = broker
        self._made_in = os.fspath(project) if project else calling_file() if broker is None else None
        self._client = None
        self._keeping = None
        self._eager = None
        self._audience = Audience()
        self._listeners = {}
        self._middleware = ()
        self._process_hooks = {}
        self._overrides = None
        self._lifespan = None
        self._outgoing = None
        register(self)
        self._own_defaults = layer
        self._defaults = merge(BOTTOM, layer)
        if self._crypto is not None and self._crypto.signs:
            for by_value in (CALL, CALL_ASYNC):
                self.tasks[by_value] = ByValueTask(self, by_value, self._defaults, self.tasks)
        self.submit = Submit(self.tasks)
        self.asubmit = AsyncSubmit(self.tasks)
        for one in shared:
            one._join(self)

    def __repr__(self) -> str:
        return f"<TaskFlow {self.name!r} broker={str(parse(self.broker_url))!r} tasks={len(self.tasks)}>"

    def __reduce__(self) -> str:
        raise TypeError("an app holds connections and keys, so it cannot be pickled")
