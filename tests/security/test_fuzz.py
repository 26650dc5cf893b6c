"""Whatever is stored or sent, decoders answer with our own errors, and the loops go on."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from taskflow import errors
from taskflow.broker.commands.dequeue import dequeue
from taskflow.broker.commands.read import _snapshot
from taskflow.broker.keys import queue_keys
from taskflow.broker.sync import Broker
from taskflow.inspector import Inspector
from taskflow.message.message_crypto import CONTENT_TYPE_HEADER, MessageCrypto
from taskflow.message.outcome import Outcome
from taskflow.message.payload import decode_result
from taskflow.message.records import SchedulerEnqueueEvent, SchedulerEntry, ServerInfo, WorkerInfo
from taskflow.message.signature import Signature
from taskflow.message.signing import SIGNATURE_HEADER, SigningKeys
from taskflow.message.task_message import TaskMessage
from taskflow.options import HARD_TIMEOUT_HEADER
from taskflow.pipe import frames
from taskflow.states import State
from taskflow.tasks.attempt import Attempt
from taskflow.tasks.run import Pipeline
from tests.security import app as module
from tests.security.conftest import Stored
from tests.security.keys import SIGNING
from tests.servers import wait_until
from tests.workers import ROOT, WorkerProcess

Worker = Callable[..., WorkerProcess]

settings.register_profile("fuzz", deadline=None)  # a shared machine pauses for longer than any limit
fuzz = settings.get_profile("fuzz")

CRYPTO = MessageCrypto(SigningKeys([SIGNING.encode()]))
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-(2**31), 2**31 - 1)


@st.composite
def messages(draw: Callable[..., Any]) -> TaskMessage:
    """Anything that Asynq's format can hold, with the headers that we look at."""
    ours = (CONTENT_TYPE_HEADER, SIGNATURE_HEADER, HARD_TIMEOUT_HEADER)
    known = st.sampled_from(["add", "echo", "aecho", "takes_model", "taskflow:call", "taskflow:call-async"])
    values = st.one_of(TEXTS, st.sampled_from(["1e300", "inf", "nan", "-1", "application/x-cloudpickle"]))
    return TaskMessage(
        type=draw(known | TEXTS.filter(bool)),
        payload=draw(
            st.none() | st.binary(max_size=60) | st.just(b'{"first":1}') | st.just(b'{"secret":"x"}')
        ),
        id=draw(TEXTS.filter(bool)),
        queue=draw(TEXTS.filter(bool)),
        max_retries=draw(SMALL),
        retried=draw(SMALL),
        error_msg=draw(TEXTS),
        timeout=draw(NUMBERS),
        deadline=draw(NUMBERS),
        unique_key=draw(TEXTS),
        last_failed_at=draw(NUMBERS),
        retention=draw(NUMBERS),
        completed_at=draw(NUMBERS),
        group_key=draw(TEXTS),
        headers=draw(st.dictionaries(st.sampled_from(ours) | TEXTS, values, max_size=4)),
    )


@st.composite
def damaged(draw: Callable[..., Any]) -> bytes:
    """A message that was cut, or of which some bytes were changed."""
    data = bytearray(draw(messages()).encode())
    for _ in range(draw(st.integers(0, 4))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


BYTES = st.binary(max_size=200) | damaged()


@fuzz
@given(BYTES)
def test_task_messages(data: bytes) -> None:
    try:
        message = TaskMessage.decode(data)
    except errors.DecodeError:
        return
    assert TaskMessage.decode(message.encode()) == message


@fuzz
@given(st.binary(max_size=200))
@pytest.mark.parametrize("record", [ServerInfo, WorkerInfo, SchedulerEntry, SchedulerEnqueueEvent])
def test_records(record: Any, data: bytes) -> None:
    try:
        found = record.decode(data)
    except errors.DecodeError:
        return
    found.encode()
    for value in vars(type(found)).get("__dataclass_fields__", ()):
        moment = getattr(found, value)
        if hasattr(moment, "to_datetime"):
            moment.to_datetime()


def typed(
    text: str,
    number: int = 0,
    *,
    table: dict[str, list[float]] | None = None,
    model: module.Model | None = None,
) -> None:
    """Parameters of several kinds."""


def extra(**names: int) -> None:
    """Parameters by any name."""


@fuzz
@given(st.binary(max_size=120) | st.just(b"[" * 100_000) | st.just(b'{"table":' * 5000))
@example(b'{"text":"\\ud800"}')
@example(b'{"text":"a","text":"b"}')
@example(b'{"number":1e999,"text":""}')
@pytest.mark.parametrize("function", [typed, extra])
def test_payloads(function: Callable[..., Any], data: bytes) -> None:
    try:
        arguments = Signature.of(function).decode(data, name="typed")
    except errors.InvalidArguments:
        return
    function(**arguments)


@fuzz
@given(st.binary(max_size=120) | st.just(b"[" * 100_000))
def test_results(data: bytes) -> None:
    decode_result(data)


@fuzz
@given(
    st.none() | BYTES,
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=40),
)
@example(None, None, None, b"[" * 5000, b"[" * 100_000)
@example(None, None, None, b"{}", b'{"at":1e308}\n{"at":-1e308,"seconds":1e308}\n{"type":"' + b"\xff" * 9)
def test_snapshots(
    message: bytes | None,
    state: bytes | None,
    result: bytes | None,
    error: bytes | None,
    attempts: bytes | None,
) -> None:
    for attempt in _snapshot([message, state, result, error, attempts]).attempts:
        assert attempt.kind is not None
        assert attempt.ended_at is None or attempt.at is not None


@fuzz
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    ).map(msgspec.msgpack.encode)
)
def test_frames(body: bytes) -> None:
    for decode in (frames.decode_from_child, frames.decode_from_worker):
        with contextlib.suppress(frames.BadFrame):
            decode(body)


def test_a_frame_that_begins_with_text_is_none() -> None:
    for text in (b"GET ", b"hell", b"\xff\xff\xff\xff", b"    "):
        with pytest.raises(frames.BadFrame):
            frames.body_size(text)
    assert frames.body_size(b"\0\0\1\0") == 256


def raises(attempt: Attempt) -> None:
    raise OSError("x")


@settings(fuzz, max_examples=300)
@given(messages(), st.booleans(), st.booleans())
def test_the_pipeline_has_a_verdict_on_every_message(
    message: TaskMessage, signed_by_us: bool, failed: bool
) -> None:
    """From the bytes to the outcome, without a pool: neither `receive` nor what follows raises. In each app, since to think of a
    message takes longer than all that.
    """
    if signed_by_us:
        message = CRYPTO.close(message)
    job = frames.Job(1, message.queue, message.id.encode(), message.encode(), "killed" if failed else "", 5)
    for app in (module.plain, module.signed, module.encrypted, module.sealed, module.hidden):
        note(f"in the app {app.name}")
        pipeline = Pipeline(app.tasks, app._crypto, error_text=app._error_text)
        attempt = pipeline.receive(job)
        if isinstance(attempt, Attempt):
            assert 0 < attempt.plan.soft_seconds <= attempt.plan.hard_seconds < 2**63 / 1e9
            attempt.current()
            for call in (lambda attempt: 5, raises):
                frames.frame(frames.Outcomes([Context().run(pipeline.run, attempt, call)]))
        else:
            frames.frame(frames.Outcomes([attempt]))


@fuzz
@given(BYTES)
def test_the_pipeline_has_a_verdict_on_any_bytes(data: bytes) -> None:
    pipeline = Pipeline(module.signed.tasks, module.signed._crypto)
    verdict = pipeline.receive(frames.Job(1, "q", b"\xff", data))
    assert isinstance(verdict, Outcome)


# --- on a real server -----------------------------------------------------------------------------------------


@pytest.mark.broken_keys
@settings(fuzz, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.binary(max_size=30)
            | st.sampled_from([b"-1", b"9" * 5000, b"9" * 400, b"1e5", b"nan", b"active"])
            for name in (
                "msg",
                "state",
                "pending_since",
                "owner",
                "crashes",
                "recoveries",
                "first_failed_at",
                "unknown",
                "group",
                "unique_key",
                "result",
                "error",
            )
        },
    )
)
@example(fields={"msg": b"x", "state": b"nan", "unknown": b"1", "pending_since": b"9" * 400})
def test_any_fields_can_be_taken_and_looked_at(
    broker: Broker, stored: Stored, queue: str, fields: dict[str, bytes]
) -> None:
    """Whatever stands in a hash: its task is taken, or is none. (One that had come in the year 31,000, was put back once, and was
    left "for others" for ever stayed in pending, with its state as it was.)"""
    keys = queue_keys(queue)
    stored.raw.delete(keys.pending, keys.active, keys.lease, stored.key("x"))
    if fields:
        stored.raw.hset(stored.key("x"), mapping=fields)
    stored.raw.lpush(keys.pending, "x")
    stored.raw.sadd("asynq:queues", queue)
    inspector = Inspector(broker)
    inspector.queue(queue)
    for state in (State.PENDING, State.ACTIVE):
        inspector.tasks(queue, state)
    taken = broker.run(dequeue(queue, "me:1:x", "token", 5))
    for task in taken.tasks:
        frames.frame(frames.Jobs([frames.Job(1, queue, b"x", task.message, "", task.first_failed_at)]))
    inspector.tasks(queue, State.ACTIVE)
    assert stored.count("pending") == 0
    assert stored.state("x") == ("active" if taken.tasks else "")


@pytest.mark.parametrize("record", [b"", b"\xc1", b"garbage", b"\x91\xa5other", b"\x81\xa5token\x01", "list"])
def test_a_damaged_record_of_what_was_taken_does_no_harm(
    broker: Broker, stored: Stored, queue: str, record: bytes | str
) -> None:
    """A repeated dequeue looks at what the first one noted; what it cannot read counts as no record."""
    stored.push(TaskMessage(type="x", payload=None, id="a", queue=queue))
    key = queue_keys(queue).taken_by("me:1:x")
    if isinstance(record, str):
        stored.raw.lpush(key, "no string at all")
    else:
        stored.raw.set(key, record)
    command = dequeue(queue, "me:1:x", "token", 5)
    resent = replace(command, args=[1, *command.args[1:]])
    reply = broker.run(resent)
    assert (reply.tasks, reply.unspent) == ([], True)
    anew = broker.run(dequeue(queue, "me:1:x", "another token", 5))
    assert [task.id for task in anew.tasks] == ["a"]


def garbage(rng: random.Random, queue: str, count: int) -> list[bytes]:
    """Random bytes; messages cut off; messages with a byte changed; messages that say anything at all."""
    found: list[bytes] = []
    while len(found) < count:
        kind = len(found) % 4
        whole = TaskMessage(
            type=rng.choice(["add", "echo", "taskflow:call", "x"]),
            payload=rng.randbytes(rng.randrange(60)),
            id=f"g{len(found)}",
            queue=queue,
            timeout=rng.choice([0, 30, -5, 2**62]),
            deadline=rng.choice([0, 0, 2**62, -9]),
            retention=rng.choice([0, 60, -60, 2**62]),
            headers={
                rng.choice(["a", CONTENT_TYPE_HEADER, SIGNATURE_HEADER, HARD_TIMEOUT_HEADER]): rng.randbytes(
                    4
                ).hex()
            },
        ).encode()
        if kind == 0:
            data = rng.randbytes(rng.randrange(1, 300))
        elif kind == 1:
            data = whole[: rng.randrange(1, len(whole))]
        elif kind == 2:
            changed = bytearray(whole)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            data = bytes(changed)
        else:
            data = whole
        found.append(data)
    return found


@pytest.mark.parametrize(
    "pool", [{"concurrency": 4}, {"concurrency": 2, "pool": "processes"}], ids=["threads", "processes"]
)
def test_a_worker_archives_500_pieces_of_garbage_and_goes_on(
    apps: Any, worker: Worker, stored: Stored, queue: str, pool: dict[str, Any], tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**9)
    pieces = garbage(random.Random(seed), queue, 500)
    for number, data in enumerate(pieces):
        stored.push(data, b"g%d\xff" % number if number % 9 == 0 else b"g%d" % number)
    with worker("signed", **pool) as process:
        assert apps.signed.tasks["echo"].options(queue=queue).delay("after").get(60) == "after", seed
        # Another child may have run it while one still has garbage before it.
        wait_until(
            lambda: stored.count("archived") == 500, timeout=60, description=f"all is archived ({seed})"
        )
        assert process.terminate() == 0
    assert (stored.count("archived"), stored.count("pending"), stored.count("active")) == (500, 0, 0), seed
    # Not one of them cost a process or a thread.
    assert not [
        line for line in process.log if "ended (" in line or "Traceback" in line or "unexpected" in line
    ], seed
    for number, data in enumerate(pieces):
        kept = stored.task(b"g%d\xff" % number if number % 9 == 0 else b"g%d" % number)
        assert kept[b"error"], (seed, number)
        try:
            message = TaskMessage.decode(data)
        except errors.DecodeError:
            assert kept[b"msg"] == data, (seed, number)
        else:
            assert replace(TaskMessage.decode(kept[b"msg"]), error_msg="", last_failed_at=0) == replace(
                message, error_msg="", last_failed_at=0
            ), (seed, number)


def test_a_worker_without_keys_survives_garbage_too(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """Whatever it says of its limits, retries and retention: a task of a known name gets its verdict."""
    seed = random.SystemRandom().randrange(10**9)
    rng = random.Random(seed)
    for number in range(200):
        numbers = {
            name: rng.choice([0, 1, -1, 2**62, -(2**62)])
            for name in ("timeout", "deadline", "retention", "last_failed_at")
        }
        message = TaskMessage(
            type=rng.choice(["add", "aecho", "fail", "takes_model"]),
            payload=rng.choice(
                [None, b'{"first":1}', b'{"secret":"x"}', b'{"model":{"secret":"!x"}}', rng.randbytes(9)]
            ),
            id=f"n{number}",
            queue=queue,
            max_retries=rng.choice([0, -1, 2**31 - 1]),
            retried=rng.choice([0, -1, 2**31 - 1, -(2**31)]),
            headers={HARD_TIMEOUT_HEADER: rng.choice(["1e300", "inf", "nan", "-1", "", "x", "1e-300"])},
            **numbers,
        )
        stored.push(
            message,
            first_failed_at=rng.choice(["", "x", "9" * 400, "-1"]),
            crashes=rng.choice(["", "x", "0"]),
        )
    with worker("plain", concurrency=4) as process:
        for number in range(8):
            echo = apps.plain.tasks["echo" if number % 2 else "aecho"].options(queue=queue)
            assert echo.delay("after").get(60) == "after", seed
        assert process.terminate() == 0
    assert stored.count("active") == 0, seed
    assert not [
        line
        for line in process.log
        if "Traceback" in line or "unexpected" in line or "cannot be prepared" in line
    ], seed


CHILD = """
import os, socket, sys
from taskflow import TaskFlow
app = TaskFlow("noisy", retention=60, max_retries=0)
@app.task(name="noise")
def noise(data: str) -> None:
    for descriptor in range(3, 64):
        try:
            socket.socket(fileno=os.dup(descriptor)).sendall(bytes.fromhex(data))
        except OSError:
            pass
@app.task(name="echo")
def echo(secret: str) -> str:
    return secret
@app.task(name="descriptors")
def descriptors() -> str:
    import subprocess
    code = "import os; print([os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, close_fds=False).stdout
"""


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\5hello", b"\0\0\0\1\xc1", b"\0\0\0\2\x92\x01", b"\xff" * 64],
    ids=["text", "text in a frame", "no msgpack", "cut off", "too long"],
)
def test_a_task_that_writes_into_our_socket_loses_its_process_and_nothing_else(
    valkey: Any, queue: str, project: Path, stored: Stored, data: bytes
) -> None:
    (project / "noisy.py").write_text(CHILD)
    sys.path.insert(0, str(project))
    try:
        sys.modules.pop("noisy", None)
        import noisy  # type: ignore[import-not-found]

        noisy.app.use_broker(valkey.url)
        with WorkerProcess(
            "noisy", directory=project, broker=valkey.url, queues={queue: 1}, concurrency=2
        ) as process:
            result = noisy.noise.options(queue=queue).delay(data.hex())
            process.wait_for_log("wrote what is no frame")
            assert noisy.echo.options(queue=queue).delay("after").get(20) == "after"
            with pytest.raises(errors.TaskFailed, match="process died 3 times"):
                result.get(30)
            assert process.terminate() == 0
        noisy.app.close()
    finally:
        sys.path.remove(str(project))


def test_what_a_task_starts_does_not_inherit_our_socket(valkey: Any, queue: str, project: Path) -> None:
    (project / "noisy.py").write_text(CHILD)
    code = f"import noisy; print(noisy.descriptors.options(queue={queue!r}).delay().get(20))"
    with WorkerProcess("noisy", directory=project, broker=valkey.url, queues={queue: 1}, concurrency=1):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TASKFLOW_BROKER": valkey.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert "taskflow" not in done.stdout
    assert done.stdout.count("socket:") == 0, done.stdout


def test_the_frames_length_is_what_we_say_it_is() -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(frames.frame(frames.Pong()))
    header = theirs.recv(frames.LENGTH)
    assert struct.unpack(">I", header)[0] == frames.body_size(header)
    ours.close()
    theirs.close()
