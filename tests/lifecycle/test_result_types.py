"""Results of real workers are what the tasks' annotations say, whichever way they are waited for."""

from __future__ import annotations

import asyncio
import copy
import importlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taskflow import TaskFlow
from taskflow.errors import ConfigurationError, ResultMismatch
from tests.servers import Server
from tests.workers import ROOT, WorkerProcess

MODULE = """
import os
from decimal import Decimal

import pydantic
from taskflow import TaskFlow

app = TaskFlow("result-types", queue="result-types", retention=600)

class Out(pydantic.BaseModel):
    total: Decimal

@app.task
def fetch(number: int) -> Out:
    return Out(total=Decimal(number) / 10)

@app.task
async def pair(number: int) -> tuple[int, Decimal | None]:
    return number, None

@app.task
def plain(number: int):
    return (number, Decimal(number))

@app.task
def lie(number: int) -> int:
    return str(number)
"""


@pytest.fixture(scope="module")
def shop(valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("result-types")
    (folder / "result_types.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKFLOW_BROKER", valkey.url)
        patch.syspath_prepend(str(folder))
        module = importlib.import_module("result_types")
        with WorkerProcess("result_types", directory=folder, broker=valkey.url, concurrency=4):
            yield module
        module.app.close()
        del sys.modules["result_types"]


def test_every_way_to_a_result_converts_it(shop: Any) -> None:
    """`fetch.delay(x).get()` was typed `Out` and gave a dict."""

    async def ways() -> list[Any]:
        handle = await shop.fetch.adelay(5)
        found = [await handle.aget(timeout=20), await handle, await shop.fetch.delay(5).aget(timeout=20)]
        await shop.app.aclose()
        return found

    with shop.app.batch():
        batched = shop.fetch.delay(5)
    found = [
        shop.fetch.delay(5).get(timeout=20),
        batched.get(timeout=20),
        shop.app.send(shop.fetch.name, number=5).get(timeout=20),
        *(handle.get(timeout=20) for handle in shop.fetch.map([(5,)]).results),
        *asyncio.run(ways()),
    ]

    assert found == [shop.Out(total=Decimal("0.5"))] * len(found)
    assert shop.pair.delay(1).get(timeout=20) == (1, None)


def test_without_an_annotation_or_a_task_it_is_the_json(shop: Any) -> None:
    handle = shop.fetch.delay(5)
    handle.get(timeout=20)

    assert shop.app.result(handle.id).get() == {"total": "0.5"}
    assert shop.plain.delay(1).get(timeout=20) == [1, "1"]


def test_an_annotation_that_is_wrong_fails_at_get_and_not_in_the_worker(shop: Any) -> None:
    handle = shop.lie.delay(5)

    with pytest.raises(ResultMismatch):
        handle.get(timeout=20)
    assert handle.state == "completed"
    assert shop.app.result(handle.id).get() == "5"


def test_a_handle_can_be_pickled_and_copied(shop: Any, valkey: Server) -> None:
    """As a handle in a cache, a session, or the arguments of a process pool. It was "cannot pickle '_thread.lock' object"."""
    handle = shop.fetch.delay(5)
    data = pickle.dumps(handle)

    for other in (pickle.loads(data), copy.copy(handle), copy.deepcopy(handle)):
        assert other == handle
        assert other.get(timeout=20) == shop.Out(total=Decimal("0.5"))
    assert str(valkey.port).encode() not in data

    program = """if True:
        import pickle, sys
        handle = pickle.load(sys.stdin.buffer)
        import result_types
        print(handle.get(timeout=20), handle.state)
    """
    folder = Path(shop.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": f"{ROOT}:{folder}", "TASKFLOW_BROKER": valkey.url},
        input=data, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout.decode().strip(), done.stderr.decode()) == ("total=Decimal('0.5') completed", "")


def test_a_handle_of_an_app_that_is_not_here_says_so() -> None:
    app = TaskFlow("gone", broker="redis://127.0.0.1:1")
    data = pickle.dumps(app.result("order-1", queue="q"))
    del app
    handle = pickle.loads(data)

    assert (handle.id, handle.queue) == ("order-1", "q")
    with pytest.raises(ConfigurationError, match="an app named 'gone', and there is none in this process"):
        handle.get(timeout=0)

    both = [TaskFlow("gone", broker=f"redis://127.0.0.1:{port}") for port in (1, 2)]
    with pytest.raises(ConfigurationError, match="several of this name, with different brokers"):
        handle.get(timeout=0)
    assert len(both) == 2


def test_a_handle_of_eager_mode_can_be_pickled() -> None:
    app = TaskFlow("eager", eager=True, retention=60)

    @app.task
    def double(number: int) -> int:
        return 2 * number

    handle = pickle.loads(pickle.dumps(double.delay(2)))

    assert handle.get() == copy.copy(handle).get() == 4


def test_a_pickled_handle_of_eager_mode_converts_its_result() -> None:
    """In tests as with a broker: a `Decimal` came out of the pickle as the text of its JSON."""
    app = TaskFlow("eager-typed", eager=True, retention=60)

    @app.task
    def price(number: int) -> Decimal:
        return Decimal(number) / 4

    assert pickle.loads(pickle.dumps(price.delay(5))).get() == Decimal("1.25")

    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(price.delay(5)))))
    assert again.get() == Decimal("1.25")
