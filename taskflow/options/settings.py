"""Celery's settings (`app.conf`): which mean an option or a fact of the app here, which say what holds in any case, which have no
meaning, and which are refused with what to write instead (pure).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEPT = "results are kept with their tasks, on the broker, for as long as `retention` says: TaskFlow(retention=86400)"
_URL = "it is part of the broker's URL (docs/worker.md)"
_SCHEDULES = "schedules are not there yet; let cron or a timer of the system enqueue the task"
_QUEUES = "a queue is made when it is first used; a worker serves those of its tasks, or: taskflow worker -Q images=6,low=1"
_PRIORITY = "name several queues and give the worker weights: taskflow worker -Q high=6,low=1"
_RATE = "there are no rate limits; tasks on a queue of their own are bounded by its worker: taskflow worker -Q slow -c 2"
_JSON = "arguments and results are JSON, unless a task says otherwise: @app.task(serializer='msgpack')"
_READ = "JSON and msgpack are read, and nothing else"
_ACCEPTED = tuple(
    kind(names)
    for kind in (list, tuple, set)
    for names in (("json",), ("application/json",), ("json", "msgpack"), ("msgpack", "json"))
)

OPTIONS: Mapping[str, str] = {
    "task_default_queue": "queue",
    "task_time_limit": "hard_timeout",
    "task_soft_time_limit": "timeout",
    "result_expires": "retention",
    "task_ignore_result": "ignore_result",
    "task_compression": "compression",
}
"""Settings that are an option for all tasks."""

OF_APP: Mapping[str, str] = {
    "broker_url": "the broker's URL",
    "imports": "modules to import before work starts",
    "include": "the same",
    "task_always_eager": "`TaskFlow(eager=True)`",
    "task_eager_propagates": "`TaskFlow(eager_propagates=True)`",
    "task_routes": "where tasks go that do not say so themselves",
    "task_annotations": "options of tasks, by their names, over those of their declarations",
}
"""Settings that are something else of the app, and what."""

ALWAYS: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "accept_content": (_ACCEPTED, _READ),
    "broker_connection_retry": (
        (True,),
        "a worker waits for its broker, and so does a call until `enqueue_timeout`",
    ),
    "broker_connection_retry_on_startup": ((True,), "a worker waits for its broker"),
    "enable_utc": ((True,), "moments are stored in UTC"),
    "event_serializer": (("json",), _JSON),
    "result_accept_content": ((*_ACCEPTED, None), _READ),
    "result_persistent": ((True,), "a result is kept with its task"),
    "result_serializer": (("json",), _JSON),
    "task_acks_late": ((True,), "a task is acknowledged after it has run, never before"),
    "task_acks_on_failure": (
        (True, None),
        "an attempt that fails is retried, or archived when no retry is left",
    ),
    "task_acks_on_failure_or_timeout": (
        (True,),
        "an attempt that fails is retried, or archived when no retry is left",
    ),
    "task_acks_on_timeout": (
        (True, None),
        "an attempt that fails is retried, or archived when no retry is left",
    ),
    "task_create_missing_queues": ((True,), "a queue is made when it is first used"),
    "task_default_delivery_mode": ((2, "persistent"), "what the broker keeps is the broker's own setting"),
    "task_protocol": ((2,), "messages have Asynq's format"),
    "task_publish_retry": ((True,), "enqueueing is tried again until `enqueue_timeout`"),
    "task_reject_on_worker_lost": (
        (True,),
        "a task whose process dies is run again, and archived after three times",
    ),
    "task_remote_tracebacks": ((False, True), "what a task failed with is kept as text"),
    "task_serializer": (("json",), _JSON),
    "task_store_errors_even_if_ignored": ((True,), "a task that fails for good is archived with its error"),
    "task_track_started": ((True,), "what runs is in the state `active`"),
    "worker_disable_rate_limits": ((True, False), "there are no rate limits"),
    "worker_enable_remote_control": ((True,), "workers hear of cancels and of pauses"),
}
"""Settings that say what holds in any case: which values may be given, and what holds."""

NOTHING: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "broker_heartbeat",
            "broker_heartbeat_checkrate",
            "broker_pool_limit",
            "redis_backend_health_check_interval",
            "redis_max_connections",
            "redis_retry_on_timeout",
            "redis_socket_connect_timeout",
            "redis_socket_keepalive",
            "redis_socket_timeout",
            "result_backend_always_retry",
            "result_backend_max_retries",
            "result_backend_transport_options",
            "broker_connection_max_retries",
            "broker_connection_timeout",
        ),
        "connections are made as they are needed, watched, and made again",
    ),
    **dict.fromkeys(
        (
            "worker_disable_prefetch",
            "worker_enable_prefetch_count_reduction",
            "worker_eta_task_limit",
            "worker_prefetch_multiplier",
        ),
        "a worker takes what its free slots will start, and gives back the rest; what waits for its time, waits on the broker",
    ),
    **dict.fromkeys(
        (
            "event_queue_expires",
            "event_queue_ttl",
            "event_queue_prefix",
            "task_send_sent_event",
            "worker_send_task_events",
        ),
        "events are made where somebody listens: @app.on(...)",
    ),
    **dict.fromkeys(
        (
            "control_queue_expires",
            "control_queue_ttl",
            "worker_agent",
            "worker_cancel_long_running_tasks_on_connection_loss",
            "worker_consumer",
            "worker_deduplicate_successful_tasks",
            "worker_detect_quorum_queues",
            "worker_lost_wait",
            "worker_pool_putlocks",
            "worker_pool_restarts",
            "worker_proc_alive_timeout",
            "worker_state_db",
            "worker_timer",
            "worker_timer_precision",
        ),
        "workers have no such part",
    ),
    "result_extended": "what is known of a task stands beside its result: result.info()",
    "task_store_eager_result": "what an eager task returned is kept as in a worker",
    "timezone": "a moment has its own time zone",
    "worker_hijack_root_logger": "the root logger is left to the app",
    "worker_log_color": "the log has no colours",
    "worker_redirect_stdouts": "what a task prints goes where the worker's output goes",
    "worker_redirect_stdouts_level": "what a task prints goes where the worker's output goes",
}
"""Settings that are taken and have no meaning here, and why."""

REFUSED: Mapping[str, str] = {
    "broker_failover_strategy": _URL,
    "broker_host": _URL,
    "broker_login_method": _URL,
    "broker_password": _URL,
    "broker_port": _URL,
    "broker_read_url": "there is one broker: broker_url",
    "broker_transport": _URL,
    "broker_transport_options": "leases take the place of a visibility timeout; the rest is in the broker's URL (docs/worker.md)",
    "broker_use_ssl": "write rediss:// or rediss+cluster:// as the scheme of the broker's URL",
    "broker_user": _URL,
    "broker_vhost": _URL,
    "broker_write_url": "there is one broker: broker_url",
    "override_backends": _KEPT,
    "redis_backend_use_ssl": "write rediss:// or rediss+cluster:// as the scheme of the broker's URL",
    "redis_db": _URL,
    "redis_host": _URL,
    "redis_password": _URL,
    "redis_port": _URL,
    "redis_username": _URL,
    "result_backend": _KEPT,
    "result_cache_max": _KEPT,
    "result_compression": "a result is compressed as the arguments are: task_compression",
    "result_exchange": _KEPT,
    "result_exchange_type": _KEPT,
    "result_failure_expires": "what has failed is archived for 90 days, unless failure_retention says how long: "
    "TaskFlow(failure_retention=86400)",
    "task_cls": "give it to the app: TaskFlow(task_cls=Mine)",
    "task_create_missing_queue_type": _QUEUES,
    "task_default_exchange": "use task_default_queue",
    "task_default_exchange_type": "use task_default_queue",
    "task_default_priority": _PRIORITY,
    "task_default_queue_type": _QUEUES,
    "task_default_rate_limit": _RATE,
    "task_default_routing_key": "use task_default_queue",
    "task_inherit_parent_priority": _PRIORITY,
    "task_publish_retry_policy": "enqueueing is tried again until `enqueue_timeout`: TaskFlow(enqueue_timeout=10)",
    "task_queue_max_priority": _PRIORITY,
    "task_queues": _QUEUES,
    "worker_autoscaler": "give it to the worker: taskflow worker --autoscale 20,4",
    "worker_concurrency": "give it to the worker: taskflow worker -c 20",
    "worker_direct": "a queue for each worker is one that it is given: taskflow worker -Q name",
    "worker_enable_soft_shutdown_on_idle": "give it to the worker: taskflow worker --grace 30",
    "worker_log_datefmt": "give it to the worker: taskflow worker --log-format json",
    "worker_log_format": "give it to the worker: taskflow worker --log-format json",
    "worker_max_memory_per_child": "give it to the worker: taskflow worker --max-memory-per-child 300M",
    "worker_max_tasks_per_child": "give it to the worker: taskflow worker --max-tasks-per-child 1000",
    "worker_pool": "give it to the worker: taskflow worker -P processes",
    "worker_pool_start_method": "give it to the worker: taskflow worker -P processes",
    "worker_soft_shutdown_timeout": "give it to the worker: taskflow worker --grace 30",
    "worker_task_log_datefmt": "give it to the worker: taskflow worker --log-format json",
    "worker_task_log_format": "give it to the worker: taskflow worker --log-format json",
}
"""Settings that are not taken, and what to do instead."""

REFUSED_FAMILIES: Mapping[str, str] = {
    "beat_": _SCHEDULES,
    **dict.fromkeys(
        (
            "arangodb_",
            "azureblockblob_",
            "cache_",
            "cassandra_",
            "cosmosdbsql_",
            "couchbase_",
            "couchdb_",
            "database_",
            "dynamodb_",
            "elasticsearch_",
            "filesystem_",
            "gcs_",
            "mongodb_",
            "result_backend_",
            "result_chord_",
            "rpc_",
            "s3_",
        ),
        _KEPT,
    ),
    "security_": "messages are signed with keys: TaskFlow(signing_keys=[...])",
}
"""Likewise, by the beginnings of their names."""

KNOWN = frozenset({*OPTIONS, *OF_APP, *ALWAYS, *NOTHING, *REFUSED})


def refusal(name: str) -> str | None:
    """What is said of a setting that is not taken; None: it is, or there is none of this name."""
    if name in KNOWN:
        return REFUSED.get(name)
    return next((why for family, why in REFUSED_FAMILIES.items() if name.startswith(family)), None)
