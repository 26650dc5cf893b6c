"""`app.submit`: functions and arguments by value, only with a key, and results as JSON."""

from __future__ import annotations

import asyncio
import functools
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from taskflow import TaskFlow, errors
from taskflow.broker.sync import Broker
from taskflow.connection.sync import SyncDriver
from taskflow.message import by_value
from taskflow.message.message_crypto import CLOUDPICKLE, CONTENT_TYPE_HEADER
from taskflow.message.task_message import TaskMessage
from taskflow.tasks.by_value import CALL, CALL_ASYNC
from taskflow.testing.keyspace import check_queue
from tests.leases import make_due
from tests.security.conftest import Stored
from tests.security.keys import CANARY, SIGNING
from tests.servers import Server
from tests.workers import WorkerProcess

Worker = Callable[..., WorkerProcess]

FACTOR = 3


def triple(number: int, *, plus: int = 0) -> int:
    return number * FACTOR + plus


async def async_triple(number: int) -> int:
    await asyncio.sleep(0)
    return number * FACTOR


class Multiplier:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, number: int) -> int:
        return number * self.by


class AsyncMultiplier(Multiplier):
    async def __call__(self, number: int) -> int:  # type: ignore[override]
        return number * self.by


@pytest.fixture(scope="module")
def worked() -> str:
    """The queue of `signed_worker`."""
    return f"by-value-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def signed_worker(valkey: Server, worked: str) -> Iterator[WorkerProcess]:
    """A worker with the key, which the tests of the module share."""
    url, queues = valkey.url_as("worker"), {worked: 1}
    with WorkerProcess("tests.security.app:signed", broker=url, queues=queues, concurrency=4) as process:
        yield process
    broker = Broker(SyncDriver(valkey.url))
    assert check_queue(broker, worked) == []
    broker.close()


@pytest.mark.usefixtures("signed_worker")
def test_functions_lambdas_closures_and_objects_travel(apps: Any, worked: str) -> None:
    base = 5
    submit = apps.signed.submit.options(queue=worked)
    results = [
        submit(triple, 2, plus=1),
        submit(lambda: base + 1),
        submit(lambda number: number * base, 4),
        submit(functools.partial(triple, plus=10), 1),
        submit(Multiplier(7), 6),
        submit(str.upper, "text"),
        submit(async_triple, 3),
        submit(functools.partial(async_triple, 4)),
        submit(AsyncMultiplier(2), 8),
        submit(lambda **names: sorted(names), b=1, a=2),
    ]
    assert [result.get(20) for result in results] == [7, 6, 20, 13, 42, "TEXT", 9, 12, 16, ["a", "b"]]


@pytest.mark.usefixtures("signed_worker")
def test_asubmit_is_the_same_from_a_coroutine(apps: Any, worked: str) -> None:
    async def main() -> list[Any]:
        submit = apps.signed.asubmit.options(queue=worked)
        results = [await submit(triple, 2), await submit(async_triple, 3), await submit(lambda: FACTOR)]
        values = [await result.aget(20) for result in results]
        await apps.signed.aclose()
        return values

    assert asyncio.run(main()) == [6, 9, 3]


@pytest.mark.usefixtures("signed_worker")
def test_the_app_and_its_tasks_are_those_of_the_worker(apps: Any, worked: str) -> None:
    """They do not travel: their keys and connections would."""
    add, app = apps.signed.tasks["add"], apps.signed

    def work() -> list[Any]:
        handle = add.options(queue=worked).delay(1)
        return [handle.id, add(40), app.name, app.get_task("add") is add]

    task_id, *values = apps.signed.submit.options(queue=worked)(work).get(20)
    assert values == [42, "signed", True]
    assert apps.signed.result(task_id, queue=worked).get(20) == 3
    assert apps.signed.submit.options(queue=worked)(add, 2).get(20) == 4


@pytest.mark.usefixtures("signed_worker")
def test_a_script_that_is_run_sends_its_own_functions(
    valkey: Server, worked: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `__main__` defines is nowhere to be imported from, so it goes by value with all that it uses."""
    (project / "script.py").write_text(
        "import sys\n"
        "from taskflow import TaskFlow\n"
        f"app = TaskFlow('script', signing_keys=['{SIGNING}'], queue={worked!r}, retention=60)\n"
        "SIZE = 21\n"
        "def helper(number):\n    return number * SIZE\n"
        "def crunch(number):\n    return helper(number)\n"
        "if __name__ == '__main__':\n"
        "    print(app.submit(lambda: crunch(2)).get(20))\n"
    )
    monkeypatch.setenv("TASKFLOW_BROKER", valkey.url)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=project, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "42", done.stderr


def test_stores_a_signed_pickle_under_a_name_of_its_own(apps: Any, stored: Stored, queue: str) -> None:
    for function, name in ((triple, CALL), (async_triple, CALL_ASYNC)):
        message = stored.message(apps.signed.submit.options(queue=queue)(function, 1).id)
        assert message.type == name
        assert message.headers[CONTENT_TYPE_HEADER] == CLOUDPICKLE
        assert "taskflow-sig" in message.headers
        assert message.payload is not None
        assert message.payload.startswith(by_value._TAG)


def test_needs_a_key(apps: Any) -> None:
    for app in (apps.plain, apps.encrypted):
        assert CALL not in app.tasks
        with pytest.raises(
            errors.ConfigurationError, match=r"TaskFlow\(signing_keys=\[...\]\) or TASKFLOW_SIGNING_KEYS"
        ):
            app.submit(triple, 1)
        with pytest.raises(errors.ConfigurationError, match="signing_keys"):
            asyncio.run(app.asubmit(triple, 1))


def test_a_worker_without_a_key_leaves_it_for_one_that_has_it(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    result = apps.signed.submit.options(queue=queue)(triple, 1)
    with worker("plain") as process:
        process.wait_for_log("is not known to this app; put back")
        process.terminate()
    make_due(stored.raw, queue)
    with worker("signed"):
        assert result.get(20) == 3


@pytest.mark.usefixtures("signed_worker")
def test_a_result_is_json_or_the_task_is_archived(apps: Any, raw: redis.Redis, worked: str) -> None:
    submit = apps.signed.submit.options(queue=worked)
    assert submit(lambda: {"a": (1, 2)}).get(20) == {"a": [1, 2]}
    bad = submit(lambda: {CANARY: threading.Lock()})
    with pytest.raises(
        errors.TaskFailed, match="a value of type dict that cannot be kept as a result"
    ) as raised:
        bad.get(20)
    assert submit.options(max_retries=5)(lambda: object()).info().retried == 0
    assert CANARY not in raised.value.text
    assert b"result" not in Stored(raw, worked).task(bad.id)


def test_a_failure_is_that_of_the_function(apps: Any, signed_worker: WorkerProcess, worked: str) -> None:
    submit = apps.signed.submit.options(queue=worked)

    def fails() -> None:
        raise LookupError("no such thing")

    with pytest.raises(errors.TaskFailed, match="no such thing"):
        submit(fails).get(20)
    line = signed_worker.wait_for_log("LookupError")
    # Since 3.1.3 cloudpickle leaves out the file from which a function comes.
    assert re.search(r" at (.*test_by_value\.py|<dynamic-code>):\d+", line)
    # What a function returns is awaited, if it can be.
    assert submit(lambda: async_triple(1)).get(20) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda submit: submit(triple, threading.Lock()),
        lambda submit: submit(lambda: threading.Lock(), [threading.Lock()]),
        lambda submit: submit(triple, TaskFlow("another", signing_keys=["another-key-0123456789"])),
    ],
    ids=["lock", "list", "another app"],
)
def test_refuses_what_cannot_be_pickled(apps: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(errors.InvalidArguments, match="cannot travel by value"):
        call(apps.signed.submit)


def test_an_error_of_pickling_never_shows_the_value(apps: Any) -> None:
    class Stubborn:
        def __reduce__(self) -> Any:
            raise ValueError(f"cannot pickle {CANARY}")

    with pytest.raises(errors.InvalidArguments, match=r"cannot travel by value \(ValueError\)") as raised:
        apps.signed.submit(triple, Stubborn())
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("function", [None, 5, "triple"])
def test_refuses_what_is_no_function(apps: Any, function: Any) -> None:
    with pytest.raises(errors.InvalidArguments, match="the first argument is the function to call"):
        apps.signed.submit(function)


def test_refuses_options_that_make_no_sense(apps: Any, queue: str) -> None:
    with pytest.raises(errors.InvalidOption, match="`unique` compares arguments"):
        apps.signed.submit.options(queue=queue, unique=60)(triple, 1)
    with pytest.raises(errors.PayloadTooLarge):
        apps.signed.submit(triple, b"x" * 2_000_000)
    unique_by_default = apps.make("unique", signing_keys=[SIGNING], unique=60, queue=queue)
    assert unique_by_default.submit(triple, 1).id
    unique_by_default.close()


def test_works_in_eager_mode() -> None:
    app = TaskFlow("eager", eager=True, signing_keys=[SIGNING], retention=60)
    assert app.submit(triple, 2, plus=1).get() == 7
    assert app.submit(async_triple, 2).get() == 6
    with pytest.raises(errors.TaskFailed):
        app.submit(lambda: 1 / 0).get()


def test_another_python_is_told_apart_before_anything_is_unpickled() -> None:
    data = by_value.dumps((triple, (1,), {}), refer=lambda value: None, limit=None, name="x")
    assert by_value.loads(data, resolve=lambda reference: None)[0](2) == 6
    other = b"cpython-399\n" + data.partition(b"\n")[2]
    with pytest.raises(errors.NotForThisWorker, match="was made by another Python"):
        by_value.loads(other, resolve=lambda reference: None)


def test_what_another_python_made_is_put_back(apps: Any, worker: Worker, stored: Stored, queue: str) -> None:
    message = TaskMessage(
        type=CALL,
        payload=b"cpython-399\nnothing",
        id="other",
        queue=queue,
        timeout=60,
        headers={CONTENT_TYPE_HEADER: CLOUDPICKLE},
    )
    stored.push(apps.signed._crypto.close(message))
    with worker("signed") as process:
        process.wait_for_log("was made by another Python than this one")
        process.terminate()
    assert stored.state("other") in ("scheduled", "pending")
