"""Apps with every kind of keys, all with the same tasks: `-A tests.security.app:signed` and so on."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from taskflow import Reject, Retry, TaskFlow, current_task
from tests.security.keys import ENCRYPTION, OLD_ENCRYPTION, OLD_SIGNING, SIGNING


class Model(msgspec.Struct):
    secret: str

    def __post_init__(self) -> None:
        if self.secret.startswith("!"):
            raise RuntimeError(f"the model refuses {self.secret}")


def add(first: int, second: int = 2) -> int:
    return first + second


def echo(secret: str) -> str:
    return secret


async def aecho(secret: str) -> str:
    await asyncio.sleep(0)
    return secret


def fail(secret: str) -> None:
    try:
        raise KeyError(secret)
    except KeyError as error:
        raise ValueError(f"cannot use {secret}") from error


async def afail(secret: str) -> None:
    async def left_behind() -> None:
        raise ValueError(f"left behind: {secret}")

    task = asyncio.get_running_loop().create_task(left_behind())
    await asyncio.sleep(0.01)
    del task
    raise ValueError(f"cannot use {secret}")


def fail_and_retry(secret: str) -> str:
    if current_task().retried == 0:
        raise OSError(f"not yet {secret}")
    return secret


def unserialisable(secret: str) -> Any:
    return {"lock": threading.Lock(), secret: secret}


def place() -> list[str]:
    return [current_task().id, current_task().queue]


async def aplace() -> list[str]:
    return [current_task().id, current_task().queue]


def takes_model(model: Model) -> None:
    pass


def reject(reason: str) -> None:
    raise Reject(reason)


def say(secret: str) -> str:
    current_task().progress(1, 2, f"at {secret}")
    current_task().log(f"said {secret}")
    logging.getLogger("shop").warning("logged %s", secret)
    time.sleep(0.3)  # some of it is written while it runs
    current_task().log(f"last {secret}")
    return secret


def later(reason: str) -> int:
    if current_task().retried == 0:
        raise Retry(reason, delay=1)
    return 1


def policy_fails(secret: str) -> None:
    raise ValueError(f"cannot use {secret}")


def bad_policy(state: Any) -> bool:
    raise RuntimeError(f"the policy failed on {state.outcome.exception()}")


def make(name: str, **options: Any) -> TaskFlow:
    app = TaskFlow(name, retention=600, max_retries=0, **options)
    functions: list[Callable[..., Any]] = [add, echo, aecho, fail, afail, unserialisable, takes_model, place]
    for function in [*functions, aplace, reject]:
        app.task(name=function.__name__)(function)
    app.task(name="later", max_retries=1)(later)
    app.task(name="say", log_lines="INFO")(say)
    app.task(name="fail_and_retry", max_retries=1, default_retry_delay=1)(fail_and_retry)
    app.task(name="policy_fails", max_retries=5, retry=bad_policy)(policy_fails)
    return app


plain = make("plain")
hidden = make("hidden", error_text=False)
signed = make("signed", signing_keys=[SIGNING, OLD_SIGNING])
encrypted = make("encrypted", encryption_keys=[ENCRYPTION, OLD_ENCRYPTION])
sealed = make("sealed", signing_keys=[SIGNING], encryption_keys=[ENCRYPTION], error_text=False)
rotated = make(
    "rotated",
    signing_keys=[OLD_SIGNING, SIGNING],
    encryption_keys=[OLD_ENCRYPTION, ENCRYPTION],
)

if "TASKFLOW_TEST_OPEN_KEYS" in os.environ:
    from_environment = make("from-environment")
