"""Tasks as Celery's documentation writes them."""

import logging
import time

from taskflow import Task
from taskflow.errors import SoftTimeLimitExceeded

from .celery import app

logger = logging.getLogger(__name__)


@app.task
def add(x, y):
    return x + y


@app.task
def mul(x, y):
    return x * y


@app.task
def xsum(numbers):
    return sum(numbers)


@app.task(bind=True, default_retry_delay=1, max_retries=3)
def fetch(self, url):
    try:
        if self.request.retries < 2:
            raise ConnectionError("no answer")
    except ConnectionError as exc:
        raise self.retry(exc=exc, countdown=0)  # noqa: B904 - as Celery's documentation has it
    return f"after {self.request.retries} retries: ok"


class DatabaseTask(Task):
    abstract = True
    _db = None
    connections = 0

    @property
    def db(self):
        if self._db is None:
            self._db = {}
            self.connections += 1
        return self._db

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        logger.warning("%s[%s] has failed: %s", self.name, task_id, type(exc).__name__)

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        logger.info("%s[%s] is over: %s", self.name, task_id, status)


@app.task(base=DatabaseTask, bind=True)
def import_feed(self, url):
    self.db[url] = self.request.id
    return {"rows": len(self.db), "connections": self.connections}


@app.task(base=DatabaseTask, bind=True, throws=(KeyError,))
def find(self, name):
    raise KeyError("nothing of this name")


@app.task(bind=True)
def dump_context(self, x, y):
    print(f"Executing task id {self.request.id}, args: {self.request.args!r} kwargs: {self.request.kwargs!r}")
    return f"{self.name} {self.request.kwargs}"


@app.task(soft_time_limit=1, time_limit=20)
def wait(seconds):
    try:
        for _ in range(10 * seconds):
            time.sleep(0.1)
    except SoftTimeLimitExceeded:
        return "stopped by its soft limit"
    return "slept"


@app.task(autoretry_for=(OSError,), retry_backoff=True, retry_kwargs={"max_retries": 5}, ignore_result=True)
def notify(message):
    logger.info("notified")


@app.task(acks_late=True, reject_on_worker_lost=True, track_started=True)
def charge(order):
    return order
