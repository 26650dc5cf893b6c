"""A loop that stands still is seen and rebuilt; a broker that is away is no reason to be red."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from taskflow.errors import BrokerAuthError, BrokerUnavailable
from taskflow.telemetry.counts import TaskCount, Totals
from taskflow.worker import service
from taskflow.worker.health import health
from taskflow.worker.health.health import Health
from taskflow.worker.health.health_file import HealthFile
from taskflow.worker.health.health_server import HealthServer
from taskflow.worker.service import Service
from taskflow.worker.timings import Timings
from tests.servers import free_port, until


class Loop(Service):
    """A loop that gets on, until it is told to hang."""

    name = "loop"

    def __init__(self) -> None:
        super().__init__()
        self.hang = False
        self.rounds = 0

    async def tick(self) -> float:
        if self.hang:
            await asyncio.Event().wait()
        self.rounds += 1
        return 0.01


class Away(Loop):
    """A loop whose broker is away."""

    name = "away"

    async def tick(self) -> float:
        self.rounds += 1
        raise BrokerUnavailable("nobody there")


class Resting(Loop):
    """A loop that rightly waits for ever: no slot is free."""

    name = "resting"

    async def tick(self) -> float:
        with self.resting():
            await asyncio.Event().wait()
        return 0


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    short = Timings(still=0.5, look=0.05, first_pause=0.05, longest_pause=0.05)
    monkeypatch.setattr(service, "TIMINGS", short)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_wedged_loop_turns_it_red_and_is_rebuilt() -> None:
    async def scene() -> None:
        loop, away, resting = Loop(), Away(), Resting()
        watch = Health([loop, away, resting], None)
        for one in (loop, away, resting, watch):
            one.start()
        await until(lambda: loop.rounds > 3, timeout=10)
        assert watch.state() == {"ok": True, "why": [], "still": {}}
        loop.hang = True
        await until(lambda: not watch.state()["ok"], timeout=10)
        assert list(watch.state()["still"]) == ["loop"]  # type: ignore[call-overload]
        loop.hang = False  # what a new connection, for example, would mend
        rounds = loop.rounds
        await until(lambda: loop.rounds > rounds + 3, timeout=10)
        await until(lambda: watch.state()["ok"], timeout=10)
        assert watch.rebuilds >= 1
        assert away.rounds > 0
        for one in (loop, away, resting, watch):
            await one.stop()

    asyncio.run(scene())


def test_a_loop_that_hangs_again_stays_red() -> None:
    async def scene() -> None:
        loop = Loop()
        watch = Health([loop], None)
        loop.hang = True
        loop.start()
        watch.start()
        await until(lambda: watch.rebuilds >= 2, timeout=10)
        assert not watch.state()["ok"]
        await loop.stop()
        await watch.stop()

    asyncio.run(scene())


def _get(port: int, path: str = "/healthz") -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_healthz_answers_also_while_the_event_loop_is_stuck() -> None:
    port = free_port()

    async def scene() -> None:
        watch = Health([], None)
        watch.start()
        server = HealthServer(port, watch.state)
        try:
            await asyncio.sleep(0.1)
            assert (await asyncio.to_thread(_get, port))[0] == 200
            assert (await asyncio.to_thread(_get, port, "/"))[0] == 404
            answer = asyncio.create_task(asyncio.to_thread(lambda: (time.sleep(1.0), _get(port))[1]))
            await asyncio.sleep(0)
            time.sleep(2.0)
            status, state = await answer
            assert status == 503
            assert list(state["still"]) == ["health"]  # type: ignore[call-overload]
        finally:
            server.close()
            await watch.stop()

    asyncio.run(scene())


class Complains:
    """A part of the worker that says what is wrong with it."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def complaints(self) -> list[str]:
        return self.wrong


def test_what_a_part_complains_of_turns_it_red_and_children_are_counted() -> None:
    async def scene() -> None:
        part = Complains()
        watch = Health([], None, [part], lambda: (3, 4))
        watch.start()
        await until(lambda: "children" in watch.state())
        assert watch.state() == {"ok": True, "why": [], "still": {}, "children": {"alive": 3, "wanted": 4}}
        part.wrong = ["no child process runs"]
        await until(lambda: not watch.state()["ok"])
        assert watch.state()["why"] == ["no child process runs"]
        part.wrong = []
        await until(lambda: watch.state()["ok"])
        await watch.stop()

    asyncio.run(scene())


def test_a_part_that_cannot_say_how_it_is_keeps_nobody_from_hearing_of_the_others() -> None:
    class Broken:
        def complaints(self) -> list[str]:
            raise RuntimeError("a bug")

    async def scene() -> None:
        part = Complains()
        part.wrong = ["no child process runs"]
        watch = Health([], None, [Broken(), part])
        watch.start()
        await until(lambda: not watch.state()["ok"])
        assert watch.state()["why"] == ["the broken cannot say how it is", "no child process runs"]
        await watch.stop()

    asyncio.run(scene())


class Failing(Loop):
    """A loop that raises what it is given."""

    name = "failing"
    error: BaseException | None = None

    async def tick(self) -> float:
        self.rounds += 1
        if self.error is not None:
            raise self.error
        return 0.01


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokerAuthError("the server refused the login"), "the server refused the login"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (RuntimeError("a secret"), "unexpected RuntimeError"),
        # What it awaited was cancelled by somebody else: the loop ended without a word.
        (asyncio.CancelledError(), "unexpected CancelledError"),
    ],
)
def test_a_loop_survives_whatever_it_raises_says_it_and_is_red_meanwhile(
    error: BaseException, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every error but those of the broker was no reason to be red, and the broker's refusal of a login was none either: the
    worker did nothing, and its health was green.
    """

    async def scene() -> None:
        loop = Failing()
        watch = Health([loop], None, [loop.troubles])
        loop.start()
        watch.start()
        await until(lambda: loop.rounds > 3)
        assert watch.state()["ok"]
        loop.error, rounds = error, loop.rounds
        await until(lambda: loop.rounds > rounds + 5)
        await until(lambda: not watch.state()["ok"])
        assert told in str(watch.state()["why"])
        assert "secret" not in str(watch.state()["why"])
        loop.error = None
        await until(lambda: watch.state()["ok"])
        for one in (loop, watch):
            await one.stop()

    with caplog.at_level(logging.INFO, "taskflow.worker"):
        asyncio.run(scene())
    said = [record.getMessage() for record in caplog.records if told in record.getMessage()]
    assert said[0] == f"failing: {told}"
    assert len(said) == 2, "at once, and that it is over"
    assert "it is over" in said[1]


def test_a_broker_that_is_away_is_said_and_no_reason_to_be_red(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        loops = [Away(), Away()]
        loops[1].name = "other"
        loops[1].troubles = loops[0].troubles
        watch = Health(loops, None, [loops[0].troubles])
        for one in (*loops, watch):
            one.start()
        await until(lambda: all(loop.rounds > 5 for loop in loops))
        assert watch.state()["ok"]
        for one in (*loops, watch):
            await one.stop()

    with caplog.at_level(logging.WARNING, "taskflow.worker"):
        asyncio.run(scene())
    assert [record.getMessage() for record in caplog.records] == ["away: nobody there"]


def test_a_health_file_that_cannot_be_written_ends_nothing_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a read-only container the worker ended with 2 before it had begun; and one write that failed later, as while no
    descriptor was free, was the last: `--check` found no worker for the rest of its life.
    """
    (
        tmp_path / "taskflow"
    ).touch()  # where the folder should be; the tests may run as root, to whom nothing is read-only
    (tmp_path / f"taskflow-{os.geteuid()}").touch()

    async def scene() -> None:
        watch = Health([], HealthFile({"app": "shop"}, os.getpid(), "token"))
        watch.start()
        await until(lambda: caplog.records)
        await asyncio.sleep(0.2)
        assert watch.state()["ok"]
        (tmp_path / "taskflow").unlink()
        await until(lambda: list((tmp_path / "taskflow").glob("worker-*.json")))
        await watch.stop()
        watch.forget()

    with caplog.at_level(logging.WARNING, "taskflow.worker"):
        asyncio.run(scene())
    [record] = caplog.records
    assert "--check does not find this worker" in record.getMessage()
    assert not list((tmp_path / "taskflow").iterdir())


def test_it_shows_what_was_counted_of_the_tasks_that_run_most_often(tmp_path: Path) -> None:
    """An answer has to fit into a socket's buffer, and the file for `--check` is written every second, for another question."""
    totals = Totals()
    totals.add([TaskCount(f"t{number}", number, 0, 1.0, 0.5) for number in range(1, 200)])

    async def scene() -> None:
        watch = Health([], HealthFile({"app": "shop"}, os.getpid(), "token"), tasks=totals.all)
        watch.start()
        await until(lambda: watch.state().get("tasks"))
        tasks = watch.state()["tasks"]
        assert isinstance(tasks, dict)
        assert list(tasks) == [f"t{number}" for number in range(199, 199 - health.MOST_TASKS, -1)]
        assert tasks["t199"] == {"count": 199, "failures": 0, "seconds": 1.0, "longest": 0.5}
        [file] = (tmp_path / "taskflow").glob("worker-*.json")
        assert "tasks" not in json.loads(file.read_text())
        await watch.stop()
        watch.forget()

    asyncio.run(scene())
