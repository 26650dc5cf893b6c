"""A shop's tasks, as a service has them: mails, payments, a reminder after a day, a report. Its tests are in test_shop.py."""

from __future__ import annotations

import os

from taskflow import Reject, TaskFlow, current_task

# In production TASKFLOW_BROKER says where the broker is. Tests never go there, whatever it says.
app = TaskFlow("shop", broker=os.environ.get("TASKFLOW_BROKER"), retention=86_400)

DAY = 86_400


def send_mail(to: str, text: str) -> None:
    """What tests replace."""
    raise OSError(f"no mail to {to}: there is no mail server in this example ({len(text)} letters)")


def ask_bank(order: int) -> str:
    """Likewise."""
    raise ConnectionError(f"no bank for order {order}")


@app.task(queue="mail")
def welcome(name: str, language: str = "en") -> str:
    send_mail(name, f"welcome ({language})")
    return f"welcomed {name}"


@app.task(queue="mail")
def remind(name: str) -> None:
    send_mail(name, "have you seen our tomatoes?")


@app.task(
    queue="payments", autoretry_for=(ConnectionError,), retry_backoff=60, retry_jitter=False, max_retries=3
)
def charge(order: int) -> str:
    if order < 0:
        raise Reject("there are no such orders")
    return f"{ask_bank(order)}, attempt {current_task().retried + 1}"


@app.task(queue="reports")
async def total(prices: list[int]) -> int:
    return sum(prices)


def sign_up(name: str) -> None:
    """What a web request does."""
    welcome.delay(name)
    remind.options(delay=DAY).delay(name)
