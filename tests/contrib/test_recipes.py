"""examples/recipes: what they promise of Sentry, OpenTelemetry, structlog and SQLAlchemy, with the real packages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sentry_sdk
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sentry_sdk.transport import Transport
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.contrib.web import STRICT
from tests.servers import Server, wait_until
from tests.worker.attempts import attempts
from tests.workers import ROOT, WorkerProcess

RECIPES = ROOT / "examples" / "recipes"
pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)


@contextmanager
def loaded(name: str) -> Iterator[ModuleType]:
    """The recipe as a module; what it listens to is over with its test."""
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    try:
        yield module
    finally:
        for listener in list(module.app._listeners):
            module.app.off(listener)
        module.app.close()
        del sys.modules[name]


def call(name: str, environment: dict[str, str]) -> None:
    """Run the recipe as a program, which enqueues."""
    env = {**os.environ, **STRICT, **environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, f"{name}.py"], cwd=RECIPES, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.py")), ids=lambda path: path.stem)
def test_the_page_shows_the_recipe_itself(path: Path) -> None:
    page = "outbox.md" if path.stem == "sqlalchemy_outbox" else "recipes.md"
    assert f"```python\n{path.read_text()}```\n" in (ROOT / "docs" / page).read_text()


# --- Sentry -----------------------------------------------------------------------------------------------------------


class Kept(Transport):
    """Keeps what would have gone to Sentry."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.items: list[tuple[str, dict[str, Any]]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.items += [(item.type, item.payload.json) for item in envelope.items if item.payload.json]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [payload for type_, payload in self.items if type_ == kind]


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, Kept]]:
    monkeypatch.setattr("sentry_sdk.init", lambda **options: None)  # once is enough: it takes its time
    with loaded("sentry_errors") as module:
        monkeypatch.undo()
        transport = Kept()
        module.connect(
            transport=transport,
            dsn="https://key@localhost/1",
            auto_enabling_integrations=False,
            enable_backpressure_handling=False,
        )
        yield module, transport
        sentry_sdk.get_client().close(timeout=0)
        sentry_sdk.Scope.get_global_scope().set_client(None)


def test_sentry_has_the_error_with_the_tasks_name_and_tags_and_without_its_arguments(
    sentry: tuple[ModuleType, Kept],
) -> None:
    module, transport = sentry
    module.app.eager = True
    card = uuid.uuid4().hex  # not in the text of any file, whose lines go there with the frames
    with sentry_sdk.start_transaction(op="http.server", name="POST /orders") as request:
        handle = module.charge.delay(card=card, amount=7)
    [event] = transport.of("event")
    assert event["transaction"] == module.charge.name
    assert event["level"] == "error"
    assert event["exception"]["values"][0]["type"] == "ConnectionError"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "charge"
    tags = event["tags"]
    assert (tags["task"], tags["queue"], tags["final"]) == (module.charge.name, "default", True)
    assert event["contexts"]["task"]["id"] == handle.id
    assert card not in json.dumps(transport.items)
    [worker, web] = transport.of("transaction")
    assert (web["transaction"], worker["contexts"]["trace"]["op"]) == ("POST /orders", "queue.process")
    assert worker["contexts"]["trace"]["trace_id"] == web["contexts"]["trace"]["trace_id"] == request.trace_id
    [publish] = [span for span in web["spans"] if span["op"] == "queue.publish"]
    assert worker["contexts"]["trace"]["parent_span_id"] == publish["span_id"]


def test_sentry_is_told_in_the_pools_of_a_child_and_not_of_verdicts(sentry: tuple[ModuleType, Kept]) -> None:
    module, transport = sentry

    @module.app.task(name="rejects")
    def rejects() -> None:
        from taskflow import Reject

        raise Reject("nothing to do")

    @module.app.task(name="acharge", max_retries=3)
    async def acharge() -> None:
        raise ConnectionError("the bank does not answer")

    with attempts(module.app, audience=module.app._audience) as pools:
        pools.run("rejects", b"{}")
        pools.run("acharge", b"{}", max_retries=3)
        wait_until(lambda: transport.of("event"), description="the error")
    [event] = transport.of("event")
    assert (event["tags"]["task"], event["level"]) == ("acharge", "warning")


# --- OpenTelemetry ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """One for the module: the provider of a process is set once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def otel(exporter: InMemorySpanExporter) -> Iterator[ModuleType]:
    exporter.clear()
    with loaded("otel_traces") as module:
        yield module


@pytest.mark.parametrize("name", ["resize", "fetch"])
def test_the_span_of_a_task_is_a_child_of_the_one_that_enqueued_it(
    otel: ModuleType, exporter: InMemorySpanExporter, name: str
) -> None:
    """Over headers: the task starts in a context of its own, as it does in another process."""
    otel.app.eager = True
    with otel.tracer.start_as_current_span("the request"):
        handle = getattr(otel, name).delay("a.png")
    spans = {span.name: span for span in exporter.get_finished_spans()}
    task = getattr(otel, name)
    request, send, process = spans["the request"], spans[f"send {task.name}"], spans[f"process {task.name}"]
    inner = spans[{"resize": "crop", "fetch": "download"}[name]]
    assert (send.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    for child, parent in ((send, request), (process, send), (inner, process)):
        assert child.parent.span_id == parent.context.span_id
        assert child.context.trace_id == request.context.trace_id
    assert send.attributes["messaging.message.id"] == process.attributes["messaging.message.id"] == handle.id
    assert process.attributes["messaging.destination.name"] == "default"


def test_the_span_of_a_task_that_fails_says_so_and_the_next_has_none_of_it(
    otel: ModuleType, exporter: InMemorySpanExporter
) -> None:
    @otel.app.task(name="fails", max_retries=0)
    def fails() -> None:
        raise ValueError("no")

    @otel.app.task(name="afails", max_retries=0)
    async def afails() -> None:
        raise ValueError("no")

    with attempts(otel.app, audience=otel.app._audience) as pools:
        for name in ("fails", "afails"):
            pools.run(name, b"{}", max_retries=0)
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["process fails", "process afails"]
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR] * 2
    assert [span.parent for span in spans] == [None, None]


# --- structlog --------------------------------------------------------------------------------------------------------


def test_each_line_of_a_task_has_its_name_and_id(valkey: Server, queue: str, tmp_path: Path) -> None:
    """In a real worker, with functions and coroutines at once."""
    environment = {"TASKFLOW_BROKER": valkey.url_as("worker")}
    output = tmp_path / "lines"
    with (
        output.open("wb") as stdout,
        WorkerProcess(
            "structlog_lines",
            directory=RECIPES,
            environment=environment,
            stdout=stdout,
            queues={"default": 1},
        ),
    ):
        call("structlog_lines", {"TASKFLOW_BROKER": valkey.url})
        wait_until(lambda: output.read_text().count("task ended") == 2, description="both have ended")
    lines = [json.loads(line) for line in output.read_text().splitlines() if line.startswith("{")]
    ids = {line["task"]: line["task_id"] for line in lines if line["event"] in ("resizing", "fetching")}
    assert len(set(ids.values())) == 2
    for line in lines:
        assert line["task_id"] == ids[line["task"]]
    assert [line["outcome"] for line in lines if line["event"] == "task ended"] == ["Succeeded"] * 2


# --- SQLAlchemy -------------------------------------------------------------------------------------------------------


def test_a_session_is_committed_with_its_task(valkey: Server, tmp_path: Path) -> None:
    """In a real worker, called by the recipe's own program."""
    url = f"sqlite:///{tmp_path}/shop.db"
    environment = {"TASKFLOW_BROKER": valkey.url, "DATABASE_URL": url}
    with loaded("sqlalchemy_session") as module:
        call("sqlalchemy_session", environment)
        with WorkerProcess(
            "sqlalchemy_session", directory=RECIPES, environment=environment, queues={"default": 1}
        ) as worker:
            worker.wait_for_log("succeeded")
        engine = create_engine(url)
        with Session(engine) as db:
            assert db.get_one(module.Order, 1).total == 21
        engine.dispose()


def test_a_session_is_rolled_back_when_its_task_fails_and_overridden_in_tests() -> None:
    """As the recipe's own tests would do it: eager mode, and a database in memory."""
    with loaded("sqlalchemy_session") as module:
        module.app.eager = True
        memory = create_engine("sqlite://", poolclass=StaticPool)
        module.Base.metadata.create_all(memory)
        with Session(memory) as db, db.begin():
            db.add_all([module.Order(id=1, quantity=3), module.Order(id=2, quantity=500)])
        with module.app.dependency_overrides.using({module.engine: lambda: memory}):
            module.price.delay(1)
            module.price.delay(2)
        with Session(memory) as db:
            assert [db.get_one(module.Order, number).total for number in (1, 2)] == [21, None]
        memory.dispose()


def test_a_call_is_made_when_its_transaction_is_committed_and_only_then(
    valkey: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of one transaction is there with its task, of the one that was rolled back neither is; and a relay that dies
    after the delivery, before its own commit, delivers nothing twice.
    """
    url = f"sqlite:///{tmp_path}/shop.db"
    environment = {"TASKFLOW_BROKER": valkey.url, "DATABASE_URL": url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with loaded("sqlalchemy_outbox") as module:
        call("sqlalchemy_outbox", environment)
        with pytest.raises(ValueError, match="so many apples"):
            module.buy(101)
        with Session(module.engine) as db:
            assert len(db.query(module.Row).all()) == len(db.query(module.Order).all()) == 1
        with monkeypatch.context() as patch:
            patch.setattr(module, "delete", lambda _: sys.exit("died"))
            with pytest.raises(SystemExit):
                module.relay()
        assert module.relay() == 1
        assert module.relay() == 0
        assert module.app.inspector.queue("default").pending == 1
        with WorkerProcess(
            "sqlalchemy_outbox", directory=RECIPES, environment=environment, queues={"default": 1}
        ) as worker:
            worker.wait_for_log("succeeded")
        module.engine.dispose()
