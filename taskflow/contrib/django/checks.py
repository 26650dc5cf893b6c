"""System checks: what is allowed, and most likely not meant. What cannot be is refused when Django starts."""

from __future__ import annotations

import sys
from functools import partial

from django.conf import settings
from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from taskflow import TaskFlow

from . import making
from .conf import SETTING
from .outbox.setting import outbox_settings

TAG = "taskflow"


def register_all() -> None:
    """Have `manage.py check` and its like call them."""
    register(check_broker, TAG)
    register(check_commits, TAG)
    register(check_deploy, Tags.security, deploy=True)


_warning = partial(CheckWarning, obj=None)


def check_broker(app_configs: object = None, **_: object) -> list[CheckMessage]:
    """A broker that production would not have."""
    given, app = making.current_settings().app, making.current_app()
    found: list[CheckMessage] = []
    if settings.DEBUG or _is_test():
        return found
    if app.broker_url.startswith("embedded:"):
        found.append(
            _warning(
                "Without DEBUG the broker is a development server of this machine.",
                hint=f'Give {SETTING}["BROKER"], or set TASKFLOW_BROKER: redis://, or redis+cluster:// with several nodes.',
                id="taskflow.W001",
            )
        )
    if given.get("eager"):
        found.append(
            _warning(
                "Without DEBUG tasks run where they are enqueued: a request waits for them, and none survives it.",
                hint=f'{SETTING}["EAGER"] is for tests and for development; leave it out.',
                id="taskflow.W002",
            )
        )
    return found


def check_commits(app_configs: object = None, **_: object) -> list[CheckMessage]:
    """Requests are transactions, and their tasks do not wait for the commit."""
    now = making.current_settings()
    if now.enqueue_on_commit or not making.current_app().tasks:
        return []
    try:
        outbox = outbox_settings()
    except ImproperlyConfigured:
        return []  # an error of the outbox's own check
    kept = outbox.databases if outbox.always else ()
    requests = [
        alias
        for alias in connections
        if alias not in kept and connections[alias].settings_dict["ATOMIC_REQUESTS"]
    ]
    if not requests:
        return []
    return [
        _warning(
            f"Requests are transactions (ATOMIC_REQUESTS of {', '.join(map(repr, requests))}), and tasks are enqueued in "
            "the midst of them: a worker may look for a row before it is committed, or after it was rolled back.",
            hint=f'Set {SETTING}["ENQUEUE_ON_COMMIT"] = True, or call delay_on_commit() in place of delay() and silence '
            "this check.",
            id="taskflow.W003",
        )
    ]


def check_deploy(app_configs: object = None, **_: object) -> list[CheckMessage]:
    """For `manage.py check --deploy`: whoever reaches the broker can have any task run, with any arguments."""
    given = making.current_settings().app
    app: TaskFlow = making.current_app()
    if given.get("signing_keys") or app.broker_url.startswith("embedded:") or "@" in app.broker_url:
        return []
    return [
        _warning(
            "The broker asks for no password, and tasks are not signed: whoever reaches it can have any task run.",
            hint=f'Give the broker\'s URL a user and a password (taskflow acl), or set {SETTING}["SIGNING_KEYS"].',
            id="taskflow.W004",
        )
    ]


def _is_test() -> bool:
    """Tests have DEBUG off, whatever the settings say, and are not deployed."""
    return sys.argv[1:2] == ["test"] or "pytest" in sys.modules
