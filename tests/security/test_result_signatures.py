"""Where keys are set, a result is one that a holder of them has written for this task, or none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from taskflow import TaskFlow, errors
from taskflow.broker.sync import Broker
from taskflow.cli.main import main
from taskflow.inspector import Inspector
from taskflow.message.signing import RESULT_SIGNATURE_HEADER, SIGNATURE_HEADER
from taskflow.states import State
from tests.security.conftest import Stored
from tests.security.keys import ENCRYPTION, OLD_SIGNING, OTHER_SIGNING, SIGNING
from tests.servers import Server, wait_until
from tests.workers import WorkerProcess

Worker = Callable[..., WorkerProcess]


def completed(app: TaskFlow, queue: str, *secrets: str) -> list[Any]:
    """Handles on tasks that have run; nobody has read their results yet."""
    results = [app.tasks["echo"].options(queue=queue).delay(secret) for secret in secrets]
    wait_until(
        lambda: all(str(result.state) == "completed" for result in results), description="all have run"
    )
    return results


@pytest.mark.parametrize("app", ["signed", "sealed"])
def test_a_forged_result_is_refused(apps: Any, worker: Worker, stored: Stored, queue: str, app: str) -> None:
    """With both lists of keys set, `HSET t:<id> result …` was what `get()` returned. Whatever is changed about a result, in
    whatever way it is read: it is refused."""
    with worker(app):
        plain, missing, moved, renamed, unsigned, other, good = completed(
            getattr(apps, app), queue, "one", "two", "three", "four", "five", "six", "good"
        )
    stored.raw.hset(stored.key(plain.id), "result", '"forged"')
    stored.raw.hdel(stored.key(missing.id), "result")
    taken_over = stored.task(other.id)
    stored.raw.hset(
        stored.key(moved.id), mapping={"result": taken_over[b"result"], "msg": taken_over[b"msg"]}
    )
    for one, change in ((renamed, {"type": "add"}), (unsigned, {"headers": {}})):
        stored.raw.hset(stored.key(one.id), "msg", replace(stored.message(one.id), **change).encode())
    for forged in (plain, missing, moved, renamed, unsigned):
        with pytest.raises(errors.ResultNotTrusted, match=f"the result of task {forged.id} is not trusted"):
            forged.get(25)
        with pytest.raises(errors.ResultNotTrusted) as raised:
            getattr(apps, app).result(forged.id, queue=queue).get(25)
        assert "forged" not in str(raised.value)
    assert good.get(25) == "good"

    async def from_a_coroutine() -> None:
        for forged in (plain, missing, moved, renamed, unsigned):
            with pytest.raises(errors.ResultNotTrusted):
                await forged.aget(5)
        assert await getattr(apps, app).result(other.id, queue=queue) == "six"
        await getattr(apps, app).aclose()

    asyncio.run(from_a_coroutine())


def test_with_encryption_keys_alone_a_plain_result_is_refused(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """Encrypted results cannot be forged; what is not encrypted was believed."""
    with worker("encrypted"):
        (result,) = completed(apps.encrypted, queue, "one")
    stored.raw.hset(stored.key(result.id), "result", '"forged"')
    with pytest.raises(errors.ResultNotTrusted, match="none of this app's keys"):
        result.get(25)


def test_a_signed_result_stays_readable_for_others(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """The signature stands in the message of the completed task: Go's tools show the result as it is."""
    with worker("signed"):
        (result,) = completed(apps.signed, queue, "one")
        assert stored.task(result.id)[b"result"] == b'"one"'
        assert stored.message(result.id).headers.keys() == {SIGNATURE_HEADER, RESULT_SIGNATURE_HEADER}
        assert apps.plain.result(result.id, queue=queue).get(25) == "one"
        # Run again, it gets another one.
        Inspector(apps.plain.client.broker).run(queue, result.id)
        wait_until(lambda: str(result.state) == "completed", description="it has run again")
    assert result.get(25) == "one"


def test_every_key_of_the_list_is_good_for_a_result(
    apps: Any, worker: Worker, stored: Stored, queue: str
) -> None:
    """A rotation: the worker writes with the first of its keys already, the reader has it second."""
    both = apps.make("both", signing_keys=[SIGNING, OLD_SIGNING], encryption_keys=[ENCRYPTION])
    stranger = apps.make("stranger", signing_keys=[OTHER_SIGNING])
    with worker("sealed"):
        (result,) = completed(apps.sealed, queue, "one")
    assert both.result(result.id, queue=queue).get(25) == "one"
    turned = apps.make("turned", signing_keys=[OLD_SIGNING, SIGNING], encryption_keys=[ENCRYPTION])
    assert turned.result(result.id, queue=queue).get(25) == "one"
    with pytest.raises(errors.ResultNotTrusted, match="a key that this app does not have"):
        stranger.result(result.id, queue=queue).get(25)
    for app in (both, stranger, turned):
        app.close()


@pytest.mark.parametrize("keys", ["signing_keys", "encryption_keys"])
def test_an_unsigned_result_is_taken_where_that_is_asked_for(
    apps: Any, worker: Worker, stored: Stored, queue: str, keys: str
) -> None:
    """A worker without keys, in Go for one, cannot sign what it returns."""
    one = TaskFlow("one", **{keys: [SIGNING]})
    other = TaskFlow("other", accept_unsigned_results=True, **{keys: [SIGNING]})
    with worker("plain"):
        (result,) = completed(apps.plain, queue, "of a worker without keys")
    with pytest.raises(errors.ResultNotTrusted, match="accept_unsigned_results=True takes it"):
        one.result(result.id, queue=queue).get(25)
    assert other.result(result.id, queue=queue).get(25) == "of a worker without keys"
    if keys == "signing_keys":
        with worker("signed"):
            (signed,) = completed(apps.signed, queue, "signed")
        stored.raw.hset(stored.key(signed.id), "result", '"changed"')
        with pytest.raises(errors.ResultNotTrusted, match="bad signature: it was changed"):
            other.result(signed.id, queue=queue).get(25)
    one.close()
    other.close()


def test_the_error_of_a_failure_is_not_covered(apps: Any, worker: Worker, stored: Stored, queue: str) -> None:
    """docs/security.md says so: a verdict is not signed, only a result."""
    with worker("sealed"):
        (result,) = completed(apps.sealed, queue, "one")
    archived = replace(stored.message(result.id), error_msg="forged")
    stored.raw.hset(stored.key(result.id), mapping={"msg": archived.encode(), "state": "archived"})
    stored.raw.zrem(f"asynq:{{{queue}}}:completed", result.id)
    stored.raw.zadd(f"asynq:{{{queue}}}:archived", {result.id: 1})
    with pytest.raises(errors.TaskFailed, match="forged"):
        result.get(25)


def test_the_tools_say_whether_a_result_can_be_trusted_if_they_are_given_the_app(
    valkey: Server, apps: Any, worker: Worker, broker: Broker, stored: Stored, queue: str
) -> None:
    with worker("signed"):
        good, forged = completed(apps.signed, queue, "one", "two")
    stored.raw.hset(stored.key(forged.id), "result", '"forged"')
    knowing = apps.signed.inspector
    assert knowing.task(queue, good.id).result_problem == ""
    assert (
        knowing.task(queue, forged.id).result_problem
        == "bad signature: it was changed, or belongs to another task"
    )
    page = {one.id: one.result_problem for one in knowing.tasks(queue, State.COMPLETED).tasks}
    assert [bool(page[one.id]) for one in (good, forged)] == [False, True]
    assert Inspector(broker).task(queue, forged.id).result_problem == ""

    def shown(*words: str) -> str:
        result = CliRunner().invoke(main, ["-b", valkey.url, *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    app = ("-A", "tests.security.app:signed")
    inspect = ("task", "inspect", "-q", queue)
    assert "not trusted" not in shown(*app, *inspect, good.id, "--payload")
    assert "not trusted (bad signature" in shown(*app, *inspect, forged.id, "--payload")
    assert "not trusted" not in shown(*inspect, forged.id, "--payload")
    found = json.loads(shown(*app, *inspect, forged.id, "--payload", "--json"))
    assert found["result_problem"].startswith("bad signature")
    listing = shown(*app, "task", "ls", "-q", queue, "-s", "completed", "--payload")
    assert "not trusted (bad signature" in listing
