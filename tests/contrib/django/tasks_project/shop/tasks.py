"""Tasks of Django's, and one of taskflow's beside them."""

import time
from pathlib import Path

import tenacity
from django.tasks import task

from taskflow import current_task, shared_task
from taskflow.contrib.django.backend import options

SOON = tenacity.wait_fixed(0.05)


@task
def add(a, b):
    return a + b


@task(queue_name="mail")
async def aadd(a, b):
    return a + b


@task
def echo(*args, **kwargs):
    return {"args": args, "kwargs": kwargs}


@task(takes_context=True)
def context(context, factor):
    result = context.task_result
    return [context.attempt * factor, result.id == current_task().id, str(result.status)]


@options(max_retries=2, wait=SOON)
@task(takes_context=True)
def third_time(context):
    if context.attempt < 3:
        raise ConnectionError(f"attempt {context.attempt}")
    return context.attempt


@options(max_retries=2, wait=SOON)
@task
async def never(text):
    raise ValueError(text)


@task
def fails():
    raise KeyError("once is enough")


@task
def odd():
    return object()


@task
def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.02)


@task(backend="immediate")
def elsewhere(a):
    return a * 2


@options(unique=60, timeout=5, headers={"who": "me"})
@task
def limited(a):
    return a


@shared_task(retention=60)
def ours(a: int) -> int:
    return a + 1
