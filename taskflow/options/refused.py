"""What Celery's users write and there is not, with what does the same here (pure): options, attributes of tasks, requests and
apps, names that are imported. `tests/structure/test_hints.py` looks whether what is advised exists, and docs/celery.md lists all.
"""

from __future__ import annotations

CELERYS = {
    "priority": "name several queues and give the worker weights: taskflow worker -Q high=6,low=1",
    "routing_key": "use `queue`",
    "exchange": "use `queue`",
    "link": "enqueue what follows at the end of the task itself: follow_up.delay(...)",
    "link_error": (
        "a task that fails for good is archived; `taskflow task ls -q QUEUE --state archived` lists those, and "
        "AsyncResult.get() raises TaskFailed"
    ),
    "rate_limit": (
        "there are no rate limits; tasks on a queue of their own are bounded by its worker: taskflow worker -Q slow -c 2"
    ),
    "retry": "enqueueing is tried again until `enqueue_timeout`",
    "retry_policy": "enqueueing is tried again until `enqueue_timeout`",
    "result_expires": "use `retention`",
    "shadow": "a task has one name, the one that is declared with `name`",
    "reply_to": "results are kept with the task, for `retention` seconds",
    "add_to_parent": "tasks have no parents",
    "parent_id": "tasks have no parents",
    "root_id": "tasks have no parents",
    "chain": "enqueue what follows at the end of the task itself: follow_up.delay(...)",
    "chord": "chords are not there yet",
    "connection": "the app has its connections",
    "delivery_mode": "what the broker keeps is the broker's own setting",
    "lazy": "a task is made where it is declared",
    "mandatory": "a queue is made when it is first used",
    "producer": "the app has its connections",
    "publisher": "the app has its connections",
    "resultrepr_maxsize": "no result is written to the log",
    "send_events": "events are made where somebody listens (docs/events.md)",
    "trail": "tasks have no parents",
    "Request": "workers have no such part",
}
"""Options of a call, and of a declaration."""

WORKFLOWS = "chains, groups, chords and callbacks are not there yet; let a task enqueue what follows at its end: other.delay(...)"
_NO_PARENTS = "tasks have no parents; give what belongs together a header: options(headers={'order': '17'})"

REQUEST = {
    "argsrepr": "arguments are shown nowhere; `kwargs` has them",
    "callbacks": WORKFLOWS,
    "chain": WORKFLOWS,
    "children": _NO_PARENTS,
    "chord": WORKFLOWS,
    "errbacks": WORKFLOWS,
    "eta": "when it was to run is not kept once it is due; send it as an argument or a header",
    "group": WORKFLOWS,
    "group_index": WORKFLOWS,
    "ignore_result": "whether a result is kept is the option `retention`",
    "kwargsrepr": "arguments are shown nowhere; `kwargs` has them",
    "loglevel": "the level of the log is the worker's: taskflow worker -l debug",
    "logfile": "the log goes to stderr",
    "meth": "a task is called by its name: `task`",
    "origin": "who has enqueued it is not kept; send it as a header",
    "parent_id": _NO_PARENTS,
    "properties": "there is no message of AMQP; `headers` has what the caller gave",
    "replaced_task_nesting": WORKFLOWS,
    "reply_to": "results are kept with the task, in its queue, for `retention` seconds",
    "root_id": _NO_PARENTS,
    "shadow": "a task has one name: `task`",
    "stamped_headers": "headers are not stamped; `headers` has what the caller gave",
    "stamps": "headers are not stamped; `headers` has what the caller gave",
    "taskset": WORKFLOWS,
    "tzlocal": "moments have their time zones with them",
}
"""Attributes of `self.request`."""

TASK = {
    "add_around": "wrap the function itself, in a decorator below @app.task",
    "add_trail": _NO_PARENTS,
    "backend": "results are kept with the task, in its queue; result.get() reads them",
    "chunks": WORKFLOWS,
    "expires": "it is an option: @app.task(expires=...)",
    "from_config": "options are given to @app.task(...), or to the app for all tasks",
    "on_bound": "a class given as base= has __init__",
    "priority": CELERYS["priority"],
    "rate_limit": CELERYS["rate_limit"],
    "replace": WORKFLOWS,
    "s": WORKFLOWS,
    "send_event": "send it by your own means; a task's end is logged and counted",
    "si": WORKFLOWS,
    "signature": WORKFLOWS,
    "signature_from_request": "self.retry(...) asks for another attempt",
    "starmap": "map([...]) enqueues many calls in few round trips",
    "start_strategy": "a call is enqueued by delay() or apply_async()",
    "strategy": "a call is enqueued by delay() or apply_async()",
    "subtask": WORKFLOWS,
    "subtask_from_request": "self.retry(...) asks for another attempt",
    "update_state": "self.progress(done, total, note) says how far it is; result.watch() and `taskflow task watch` show it",
}
"""Attributes of a task, and so of `self`."""

_SCHEDULES = "schedules are not there yet; let cron or a timer of the system enqueue the task"
_RESULTS = "results are kept with their tasks, on the broker, for as long as `retention` says: TaskFlow(retention=86400)"
_CONNECTIONS = "the app has its connections; app.close() closes those that are idle"

APP = {
    "Beat": _SCHEDULES,
    "GroupResult": WORKFLOWS,
    "ResultSet": "ask each handle, or app.result(id) for each id",
    "WorkController": "a worker is a command: taskflow worker -A module:app; inside a program it is app.worker()",
    "Worker": "a worker is a command: taskflow worker -A module:app; inside a program it is app.worker()",
    "add_defaults": "settings are given by app.conf.update(...), options to the app",
    "add_periodic_task": _SCHEDULES,
    "amqp": "there is no AMQP; app.inspector has the queues",
    "annotations": "settings are given by app.conf.update(task_annotations=...)",
    "backend": _RESULTS,
    "broker_connection": _CONNECTIONS,
    "bugreport": "the command is `taskflow --version`; what a server has is said by `taskflow doctor`",
    "canvas": WORKFLOWS,
    "connection": _CONNECTIONS,
    "connection_for_read": _CONNECTIONS,
    "connection_for_write": _CONNECTIONS,
    "connection_or_acquire": _CONNECTIONS,
    "control": "app.inspector reads and administers queues, tasks and workers; app.cancel(...) and result.revoke() cancel tasks",
    "current_task": "taskflow.current_task() is the running task",
    "current_worker_task": "taskflow.current_task() is the running task",
    "events": "what happens to tasks is told to @app.on(...)",
    "finalize": "tasks are made where they are declared",
    "gen_task_name": "a task's name is module.function, or the one that is declared with name=",
    "loader": "modules with tasks are named by include=, or found by app.autodiscover_tasks()",
    "log": "the log is Python's: logging.getLogger(__name__)",
    "main": "its name is app.name",
    "now": "the server's clock counts; datetime.now(timezone.utc) is this machine's",
    "on_after_configure": _SCHEDULES,
    "on_after_finalize": _SCHEDULES,
    "on_after_fork": "a child that is forked has connections of its own; nothing is to be done",
    "on_configure": "the app is configured where it is made",
    "pool": _CONNECTIONS,
    "producer_or_acquire": _CONNECTIONS,
    "producer_pool": _CONNECTIONS,
    "register_task": "a task is declared by @app.task; what a class adds is given by base=",
    "select_queues": "queues are named to the worker: taskflow worker -Q images,mail",
    "setup_security": "messages are signed with keys: TaskFlow(signing_keys=[...])",
    "signature": WORKFLOWS,
    "start": "a worker is a command: taskflow worker -A module:app; inside a program it is app.worker()",
    "steps": "a worker has no steps; what is to run at its start and its end is told to @app.on(...)",
    "subclass_with_self": "derive a class from taskflow.Task and give it by base=",
    "user_options": "the command's options are `taskflow worker --help`",
    "worker_main": "a worker is a command: taskflow worker -A module:app; inside a program it is app.worker()",
}
"""Attributes of an app."""

CONSTRUCTOR = {
    "amqp": APP["amqp"],
    "autofinalize": APP["finalize"],
    "backend": _RESULTS,
    "changes": APP["add_defaults"],
    "config_source": "settings are read by app.config_from_object(...)",
    "control": APP["control"],
    "events": APP["events"],
    "fixups": "Django is set up by a worker when app.autodiscover_tasks() is called",
    "loader": APP["loader"],
    "log": APP["log"],
    "main": "its name is the first argument: TaskFlow('shop')",
    "namespace": "it is given with the settings: app.config_from_object('django.conf:settings', namespace='CELERY')",
    "result_backend": _RESULTS,
    "set_as_current": "the app that is made last is current; app.set_current() chooses another",
    "strict_typing": "arguments are always checked where the call is made",
    "tasks": APP["register_task"],
}
"""What Celery takes where an app is made."""

NAMES = {
    "Celery": "the app is TaskFlow: from taskflow import TaskFlow",
    "Signature": WORKFLOWS,
    "beat": _SCHEDULES,
    "bootsteps": APP["steps"],
    "bugreport": APP["bugreport"],
    "canvas": WORKFLOWS,
    "chain": WORKFLOWS,
    "chord": WORKFLOWS,
    "chunks": WORKFLOWS,
    "current_app": "import the app; inside a task it is current_task().app",
    "exceptions": "all errors are in taskflow.errors",
    "group": WORKFLOWS,
    "maybe_signature": WORKFLOWS,
    "schedules": _SCHEDULES,
    "signals": "what happens to tasks is told to @app.on(...): from taskflow import events",
    "signature": WORKFLOWS,
    "starmap": WORKFLOWS,
    "subtask": WORKFLOWS,
    "utils": "the log is Python's: logging.getLogger(__name__)",
    "uuid": "str(uuid.uuid4()) of the standard library",
    "xmap": WORKFLOWS,
    "xstarmap": WORKFLOWS,
}
"""Names that are imported from `celery`."""
