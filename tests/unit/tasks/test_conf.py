"""`app.conf`: Celery's settings mean here what they mean there, or are refused where they are written."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from taskflow import Task, TaskFlow
from taskflow.errors import ConfigurationError, InvalidOption, UnknownOption
from taskflow.options.settings import ALWAYS, KNOWN, NOTHING, REFUSED, REFUSED_FAMILIES


@pytest.fixture
def app() -> TaskFlow:
    return TaskFlow("shop", broker="redis://127.0.0.1:1", max_retries=3)


def noop() -> None: ...


def message(task: Any) -> Any:
    return task._make_call((), {}, task._options).terms.message


def test_settings_are_options_of_all_tasks_also_of_those_that_are_declared_already(app: TaskFlow) -> None:
    """In Celery the settings are often read after the tasks: `app.config_from_object` stands below them, or in another module."""
    before = app.task(name="before")(noop)
    own = app.task(name="own", queue="own", time_limit=5, soft_time_limit=4)(noop)
    app.conf.update(task_default_queue="slow", task_time_limit=60)
    app.conf.task_soft_time_limit = 50
    app.conf["result_expires"] = timedelta(hours=1)
    after = app.task(name="after")(noop)

    for task in (before, after):
        made = message(task)
        assert (made.queue, made.timeout, made.retention, made.max_retries) == ("slow", 50, 3600, 3)
        assert made.headers == {"taskflow-hard-timeout": "60"}
        assert task.queue == "slow"
    assert (message(own).queue, message(own).timeout) == ("own", 4)
    assert (app.conf.task_time_limit, app.conf["task_default_queue"], app.conf.get("nothing", 7)) == (
        60,
        "slow",
        7,
    )
    assert "task_time_limit" in app.conf
    assert set(app.conf) == {
        "task_default_queue",
        "task_time_limit",
        "task_soft_time_limit",
        "result_expires",
    }


def test_settings_may_be_changed_and_taken_back(app: TaskFlow) -> None:
    task = app.task(name="one")(noop)
    task.delay  # noqa: B018
    app.conf.task_default_queue = "slow"
    app.conf.task_default_queue = None
    assert message(task).queue == "default"
    app.conf.task_ignore_result = False
    assert message(task).retention == 86400
    app.conf.task_ignore_result = True
    assert message(task).retention == 0


def test_a_sender_that_was_made_before_keeps_what_it_was_made_with(app: TaskFlow) -> None:
    task = app.task(name="one")(noop)
    sender = task.options(delay=5)
    app.conf.task_default_queue = "slow"
    assert sender._options.queue == "default"


def test_functions_by_value_have_the_settings_too() -> None:
    app = TaskFlow("shop", broker="redis://127.0.0.1:1", signing_keys=["correct-horse-battery"])
    app.conf.task_default_queue = "slow"
    assert app.tasks["taskflow:call"].queue == "slow"


def test_facts_of_the_app_are_set(app: TaskFlow) -> None:
    app.conf.update(
        {"broker_url": "redis://127.0.0.1:2", "task_always_eager": True},
        task_eager_propagates=True,
        imports=("os.path",),
        include="json",
    )
    assert app.broker_url == "redis://127.0.0.1:2"
    assert (app.eager, app.eager_propagates) == (True, True)
    assert app._include == ("os.path", "json")
    assert "127" not in repr(app.conf), "a URL may hold a password"


@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_what_holds_in_any_case_may_be_said_and_nothing_else(app: TaskFlow, name: str) -> None:
    values, why = ALWAYS[name]
    for value in values:
        app.conf[name] = value
        assert app.conf[name] == value
    with pytest.raises(InvalidOption, match=re.escape(f"app.conf.{name} cannot be 'pickle': {why}")):
        app.conf[name] = "pickle"


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_what_has_no_meaning_is_taken(app: TaskFlow, name: str) -> None:
    setattr(app.conf, name, 4)
    assert app.conf.get(name) == 4


@pytest.mark.parametrize("name", sorted([*REFUSED, *(f"{family}schedule" for family in REFUSED_FAMILIES)]))
def test_what_cannot_be_is_refused_with_what_to_write(app: TaskFlow, name: str) -> None:
    with pytest.raises(UnknownOption, match=rf"there is no app.conf.{name}: .{{10}}"):
        app.conf.update({name: "x"})
    with pytest.raises(AttributeError, match=rf"there is no app.conf.{name}: "):
        getattr(app.conf, name)
    assert name not in app.conf


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("task_tme_limit", "did you mean task_time_limit"),
        ("CELERY_TASK_SERIALIZER", "did you mean task_serializer"),
        ("frobnicate", "docs/celery.md has those"),
    ],
)
def test_what_is_misspelt_is_guessed(app: TaskFlow, name: str, words: str) -> None:
    with pytest.raises(UnknownOption, match=words):
        app.conf[name] = 1


def test_a_value_that_cannot_be_is_refused(app: TaskFlow) -> None:
    with pytest.raises(InvalidOption, match=r"task_time_limit|hard_timeout"):
        app.conf.task_time_limit = "ten"
    with pytest.raises(InvalidOption, match="result_expires: a result is kept for a time"):
        app.conf.result_expires = None
    with pytest.raises(AttributeError, match=r"app.conf.task_time_limit was not given"):
        app.conf.task_time_limit  # noqa: B018
    app.conf.result_backend = None
    assert message(app.task(name="one")(noop)).retention == 0


def test_settings_come_from_a_module_an_object_or_a_dict(
    app: TaskFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("celeryconfig")
    module.__dict__.update(task_default_queue="slow", os=sys, helper=noop, _private=1)
    monkeypatch.setitem(sys.modules, "celeryconfig", module)
    monkeypatch.setenv("CONFIGURED_BY", "celeryconfig")

    app.config_from_object("celeryconfig")
    assert set(app.conf) == {"task_default_queue"}
    app.conf.task_default_queue = None
    app.config_from_envvar("CONFIGURED_BY")
    assert app.conf.task_default_queue == "slow"

    settings = SimpleNamespace(CELERY_TASK_TIME_LIMIT=9, CELERY_TIMEZONE="UTC", DEBUG=True)
    module.settings = settings  # type: ignore[attr-defined]
    app.config_from_object("celeryconfig:settings", namespace="CELERY")
    assert (app.conf.task_time_limit, app.conf.timezone) == (9, "UTC")

    app.config_from_object({"result_expires": 7})
    assert app.conf.result_expires == 7
    with pytest.raises(UnknownOption, match="result_backend: results are kept"):
        app.config_from_object(SimpleNamespace(CELERY_RESULT_BACKEND="redis://"), namespace="CELERY")
    with pytest.raises(UnknownOption, match=r"no app.conf.task_tme_limit"):
        app.config_from_object(SimpleNamespace(CELERY_TASK_TME_LIMIT=1), namespace="CELERY")
    with pytest.raises(ConfigurationError, match="variable NOWHERE is not set"):
        app.config_from_envvar("NOWHERE")


class Mine(Task):  # type: ignore[type-arg]
    max_retries = 9


def test_tasks_may_be_made_of_one_class_for_all() -> None:
    """Flask's documentation has `task_cls=FlaskTask`, and the older one `celery.Task = ContextTask`."""
    app = TaskFlow("shop", broker="redis://127.0.0.1:1", task_cls=Mine)
    task = app.task(noop)
    assert isinstance(task, Mine)
    assert (task.max_retries, app.Task) == (9, Mine)

    other = TaskFlow("shop", broker="redis://127.0.0.1:1")
    assert other.Task is Task
    other.Task = Mine
    assert isinstance(other.task(noop), Mine)
    with pytest.raises(InvalidOption, match="the class itself"):
        TaskFlow("shop", task_cls="mine:Mine")  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match=r"derived from taskflow.Task"):
        other.Task = dict


def test_every_setting_of_celerys_is_known_or_answered() -> None:
    """The names are those of Celery 5.7 (`celery.app.defaults`)."""
    names = [
        "accept_content",
        "result_accept_content",
        "enable_utc",
        "imports",
        "include",
        "timezone",
        "beat_schedule",
        "beat_scheduler",
        "beat_max_loop_interval",
        "broker_url",
        "broker_read_url",
        "broker_write_url",
        "broker_transport",
        "broker_transport_options",
        "broker_connection_timeout",
        "broker_connection_retry",
        "broker_connection_retry_on_startup",
        "broker_connection_max_retries",
        "broker_failover_strategy",
        "broker_heartbeat",
        "broker_heartbeat_checkrate",
        "broker_login_method",
        "broker_pool_limit",
        "broker_use_ssl",
        "broker_host",
        "broker_port",
        "broker_user",
        "broker_password",
        "broker_vhost",
        "cache_backend",
        "cassandra_servers",
        "s3_bucket",
        "gcs_bucket",
        "control_queue_ttl",
        "control_queue_expires",
        "couchbase_backend_settings",
        "arangodb_backend_settings",
        "mongodb_backend_settings",
        "event_queue_expires",
        "event_queue_ttl",
        "event_queue_prefix",
        "event_serializer",
        "redis_db",
        "redis_host",
        "redis_max_connections",
        "redis_password",
        "redis_port",
        "redis_socket_timeout",
        "redis_socket_connect_timeout",
        "redis_retry_on_timeout",
        "redis_socket_keepalive",
        "redis_backend_use_ssl",
        "result_backend",
        "result_cache_max",
        "result_compression",
        "result_exchange",
        "result_exchange_type",
        "result_expires",
        "result_persistent",
        "result_extended",
        "result_serializer",
        "result_backend_transport_options",
        "result_chord_retry_interval",
        "elasticsearch_timeout",
        "security_certificate",
        "security_key",
        "database_url",
        "database_engine_options",
        "task_acks_late",
        "task_acks_on_failure_or_timeout",
        "task_acks_on_failure",
        "task_acks_on_timeout",
        "task_always_eager",
        "task_annotations",
        "task_compression",
        "task_create_missing_queues",
        "task_inherit_parent_priority",
        "task_default_delivery_mode",
        "task_default_queue",
        "task_default_exchange",
        "task_default_exchange_type",
        "task_default_routing_key",
        "task_default_rate_limit",
        "task_default_priority",
        "task_eager_propagates",
        "task_ignore_result",
        "task_store_eager_result",
        "task_protocol",
        "task_publish_retry",
        "task_publish_retry_policy",
        "task_queues",
        "task_queue_max_priority",
        "task_reject_on_worker_lost",
        "task_remote_tracebacks",
        "task_routes",
        "task_send_sent_event",
        "task_serializer",
        "task_soft_time_limit",
        "task_time_limit",
        "task_store_errors_even_if_ignored",
        "task_track_started",
        "worker_agent",
        "worker_autoscaler",
        "worker_cancel_long_running_tasks_on_connection_loss",
        "worker_soft_shutdown_timeout",
        "worker_concurrency",
        "worker_consumer",
        "worker_direct",
        "worker_disable_rate_limits",
        "worker_deduplicate_successful_tasks",
        "worker_enable_remote_control",
        "worker_hijack_root_logger",
        "worker_log_color",
        "worker_log_format",
        "worker_lost_wait",
        "worker_max_memory_per_child",
        "worker_max_tasks_per_child",
        "worker_pool",
        "worker_pool_putlocks",
        "worker_pool_restarts",
        "worker_proc_alive_timeout",
        "worker_prefetch_multiplier",
        "worker_redirect_stdouts",
        "worker_redirect_stdouts_level",
        "worker_send_task_events",
        "worker_state_db",
        "worker_task_log_format",
        "worker_timer",
        "worker_timer_precision",
        "worker_eta_task_limit",
        "worker_disable_prefetch",
    ]
    families = tuple(REFUSED_FAMILIES)
    assert [name for name in names if name not in KNOWN and not name.startswith(families)] == []
