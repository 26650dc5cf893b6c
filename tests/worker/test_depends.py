"""What a task depends on: made where it runs, closed after it whatever it ended with, and no part of its arguments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import fastapi
import pytest
from typing_extensions import TypeAliasType

from taskflow import INJECTED, CurrentTask, Depends, Reject, Retry, TaskFlow, current_task
from taskflow.errors import ConfigurationError, InvalidArguments, InvalidSignature, TaskFailed
from taskflow.states import Verb
from tests.servers import wait_until
from tests.worker.attempts import attempts, error_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*SystemExit:pytest.PytestUnhandledThreadExceptionWarning"  # how the pools' threads are ended
)

told: list[str] = []


@pytest.fixture(autouse=True)
def _silence() -> None:
    told.clear()


class Session:
    """Stands for what is to be closed."""


class Settings:
    """A class that is a dependency itself."""

    def __init__(self) -> None:
        told.append("settings")


def get_db() -> Iterator[Session]:
    told.append("open")
    try:
        yield Session()
    except BaseException as error:
        told.append(f"rollback {type(error).__name__}")
        raise
    else:
        told.append("commit")
    finally:
        told.append("close")


async def aget_db() -> AsyncIterator[Session]:
    await asyncio.sleep(0)
    told.append("open")
    try:
        yield Session()
    except BaseException as error:
        told.append(f"rollback {type(error).__name__}")
        raise
    else:
        told.append("commit")
    finally:
        await asyncio.sleep(0)
        told.append("close")


Db = Annotated[Session, Depends(get_db)]
AsyncDb = Annotated[Session, Depends(aget_db)]


def get_user(db: Db) -> tuple[str, Session]:
    return current_task().id, db


async def aget_user(db: AsyncDb, settings: Annotated[Settings, Depends()]) -> tuple[str, Session]:
    return current_task().id, db


app = TaskFlow("depends", broker="redis://127.0.0.1:1")


@app.task(name="works")
def works(
    number: int, db: Db, user: tuple[str, Session] = Depends(get_user), *, error: str = ""
) -> list[Any]:
    assert user == (current_task().id, db)
    told.append(f"task {number}")
    _fail(error)
    return [number, type(db).__name__]


@app.task(name="aworks")
async def aworks(
    number: int,
    db: AsyncDb,
    user: tuple[str, Session] = Depends(aget_user),
    *,
    error: str = "",
) -> list[Any]:
    assert user == (current_task().id, db)
    told.append(f"task {number}")
    _fail(error)
    if error == "slow":
        await asyncio.sleep(20)
    return [number, type(db).__name__]


@app.task(name="mixed")
async def mixed(number: int, db: Db) -> None:
    told.append(f"task {number}")


def _fail(error: str) -> None:
    if error == "slow":
        until = time.monotonic() + (20 if current_task().name == "works" else 0)
        while time.monotonic() < until:
            time.sleep(0.001)
    elif error:
        raise {"ValueError": ValueError, "Reject": Reject, "Retry": Retry, "SystemExit": SystemExit}[error](
            "no"
        )


@pytest.mark.parametrize("name", ["works", "aworks", "mixed"])
def test_it_is_made_once_for_a_task_and_closed_after_it(name: str) -> None:
    """Also where two parameters need the same: the user and the task have one session."""
    with attempts(app) as pools:
        outcome = pools.run(name, b'{"number": 7}', retention=60)
        assert outcome.verb == Verb.COMPLETE
    assert [line for line in told if line != "settings"] == ["open", "task 7", "commit", "close"]
    if name != "mixed":
        assert outcome.result == b'[7,"Session"]'


@pytest.mark.parametrize("name", ["works", "aworks"])
@pytest.mark.parametrize("error", ["ValueError", "Reject", "Retry", "SystemExit"])
def test_what_the_task_raises_is_thrown_into_it(name: str, error: str) -> None:
    with attempts(app) as pools:
        outcome = pools.run(name, b'{"number": 7, "error": "%s"}' % error.encode(), max_retries=5)
        assert outcome.verb == (Verb.ARCHIVE if error == "Reject" else Verb.RETRY)
        wait_until(lambda: pools.slots._free.qsize() == 1, description="the slot is free")
    assert told[-3:] == ["task 7", f"rollback {error}", "close"]


@pytest.mark.parametrize("name", ["works", "aworks"])
def test_it_is_closed_when_the_limit_of_the_task_passes(name: str) -> None:
    with attempts(app) as pools:
        outcome = pools.run(name, b'{"number": 7, "error": "slow"}', timeout=1, max_retries=0)
        assert "time limit" in error_of(outcome)
    assert told[-3:] == ["task 7", "rollback TaskTimeout", "close"]


@pytest.mark.parametrize("name", ["works", "aworks"])
def test_it_is_closed_when_the_task_is_cancelled(name: str) -> None:
    with attempts(app) as pools:
        number = pools.start(name, b'{"number": 7, "error": "slow"}')
        wait_until(lambda: "task 7" in told, description="it runs")
        pools.cancel(number)
        assert error_of(pools.outcome(number)) == "cancelled"
    assert told[-3:] == ["task 7", "rollback TaskCancelled", "close"]


def make() -> TaskFlow:
    return TaskFlow("depends", eager=True, retention=60, max_retries=0)


@pytest.mark.parametrize("kind", ["generator", "async generator", "contextmanager", "asynccontextmanager"])
def test_it_cannot_swallow_what_the_task_raised(kind: str) -> None:
    """One that rolls back and forgets to raise would make each failure of its tasks a success."""
    app = make()

    def swallows() -> Iterator[int]:
        try:
            yield 1
        except ValueError:
            told.append("swallowed")

    async def aswallows() -> AsyncIterator[int]:
        try:
            yield 1
        except ValueError:
            told.append("swallowed")

    given = {
        "generator": swallows,
        "async generator": aswallows,
        "contextmanager": contextmanager(swallows),
        "asynccontextmanager": asynccontextmanager(aswallows),
    }[kind]

    def fails(one: int = Depends(given)) -> None:
        raise ValueError("it has failed")

    async def afails(one: int = Depends(given)) -> None:
        raise ValueError("it has failed")

    with pytest.raises(TaskFailed, match="it has failed"):
        app.task(afails if "async" in kind else fails).delay().get()
    assert told == ["swallowed"]


def test_what_its_close_raises_is_the_failure_of_the_task() -> None:
    """A session whose commit fails has not done the task's work."""
    app = make()

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("cannot commit")

    @app.task
    def works(one: int = Depends(broken)) -> int:
        return one

    with pytest.raises(TaskFailed, match="cannot commit"):
        works.delay().get()


def test_several_are_closed_in_reverse_order_and_all_of_them() -> None:
    app = make()

    def first() -> Iterator[int]:
        try:
            yield 1
        finally:
            told.append("first")

    def second(one: int = Depends(first)) -> Iterator[int]:
        yield one + 1
        told.append("second")
        raise OSError("second")

    @contextmanager
    def third() -> Iterator[int]:
        yield 3
        told.append("third")

    @app.task
    def works(two: int = Depends(second), three: int = Depends(third)) -> int:
        return two + three

    with pytest.raises(TaskFailed, match="second"):
        works.delay().get()
    assert told == ["third", "second", "first"]


def test_fastapis_own_mark_is_taken_so_that_web_and_tasks_share_their_dependencies() -> None:
    """It was read as the type of an argument, "which cannot travel as JSON"."""
    app = make()

    def session(settings: Annotated[Settings, fastapi.Depends()]) -> Iterator[Session]:
        yield from get_db()

    mark: Any = fastapi.Depends(session, use_cache=False)

    @app.task
    def works(
        number: int, db: Session = mark, other: Annotated[Session, fastapi.Depends(get_db)] = INJECTED
    ) -> bool:
        return db is not other

    assert works.delay(7).get() is True
    assert told == ["settings", "open", "open", "commit", "close", "commit", "close"]

    def in_a_request(request: fastapi.Request) -> None: ...

    needs_a_request: Any = fastapi.Depends(in_a_request)

    def web(one: None = needs_a_request) -> None: ...

    with pytest.raises(ConfigurationError, match=r"`request` of .*in_a_request is filled by nobody"):
        app.task(web)


def test_an_alias_that_has_a_name_of_its_own_is_looked_into() -> None:
    """`type Db = Annotated[Session, Depends(get_db)]`, from Python 3.12 on."""
    alias: Any = TypeAliasType("alias", Db)

    def works(db: Any) -> str:
        return type(db).__name__

    works.__annotations__["db"] = alias
    assert make().task(works).delay().get() == "Session"


def test_without_the_cache_each_has_its_own() -> None:
    app = make()
    own: Any = Depends(Settings, use_cache=False)
    shared: Any = Depends(Settings)

    @app.task
    def works(a: Settings = own, b: Settings = own, c: Settings = shared) -> bool:
        return a is b or b is c

    assert works.delay().get() is False
    assert told == ["settings"] * 3


class Fake(Session):
    """Of a test."""


def fake_user(db: Annotated[Session, Depends(Fake)]) -> tuple[str, Session]:
    return "t", db


def test_it_is_overridden_in_tests_for_a_block_or_for_good() -> None:
    app = make()

    @app.task
    def works(db: Db, user: tuple[str, Session] = Depends(get_user)) -> list[str]:
        return [type(db).__name__, type(user[1]).__name__]

    with app.dependency_overrides.using({get_db: Fake}):
        assert works.delay().get() == ["Fake", "Fake"], "also below another one"
        assert told == []
    assert works.delay().get() == ["Session", "Session"]
    app.dependency_overrides[get_user] = fake_user
    assert works.delay().get() == ["Session", "Fake"]
    app.dependency_overrides.clear()
    assert works.delay().get() == ["Session", "Session"]


def test_it_is_inside_the_middleware() -> None:
    app = make()

    @app.middleware
    def outer(task: CurrentTask) -> Iterator[None]:
        told.append("before")
        yield
        told.append("after")

    @app.task
    def works(db: Db) -> None: ...

    works.delay()
    assert told == ["before", "open", "commit", "close", "after"]


def test_a_task_with_bind_and_one_with_more_arguments_have_it_too() -> None:
    app = make()

    @app.task(bind=True)
    def bound(self: CurrentTask, number: int, db: Db, **more: int) -> list[Any]:
        return [self.name, number, type(db).__name__, more]

    assert bound.delay(1, other=2).get() == [bound.name, 1, "Session", {"other": 2}]


# --- arguments --------------------------------------------------------------------------------------------------------


def test_a_call_neither_needs_it_nor_takes_it() -> None:
    app = TaskFlow("depends", broker="redis://127.0.0.1:1")

    @app.task(name="works")
    def works(number: int, db: Db = INJECTED, width: int = 5) -> None: ...

    @app.task(name="takes-more")
    def takes_more(db: Db, **more: int) -> None: ...

    for task, given in ((works, {"number": 1, "db": 2}), (takes_more, {"db": 2})):
        with pytest.raises(InvalidArguments, match="argument `db` is injected where the task runs"):
            task.delay(**given)  # type: ignore[arg-type]
        with pytest.raises(InvalidArguments, match="unexpected argument `db`"):
            task._decode(b'{"number": 1, "db": 2}')
    with pytest.raises(InvalidArguments, match="missing argument `number`"):
        works.delay()  # type: ignore[call-arg]
    assert works._signature.encode((1, 2), {}, limit=None, name="works") == b'{"number":1,"width":2}'


def test_a_plain_call_is_one_of_the_function_and_says_so() -> None:
    app = make()

    @app.task(name="works")
    def works(number: int, db: Db = INJECTED) -> Session:
        return db

    fake = Fake()
    assert works(1, fake) is fake
    assert works(1, db=fake) is fake
    with pytest.raises(InvalidArguments, match=r"so give it: works\(..., db=...\)"):
        works(1)


# --- what is refused where it is written ------------------------------------------------------------------------------


def needs_an_argument(number: int) -> int:
    return number


def itself(me: Any = INJECTED) -> int:
    return 1


itself.__defaults__ = (Depends(itself),)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (Depends(needs_an_argument), "`number` of needs_an_argument is filled by nobody"),
        (Depends(itself), "itself -> itself: a dependency cannot depend on itself"),
        (Depends(aget_db), "is a function, which runs in a thread, and aget_db needs an event loop"),
        (Depends(aget_user), "and aget_user needs an event loop"),
    ],
)
def test_a_dependency_that_cannot_be_made_is_refused_where_the_task_is_written(mark: Any, words: str) -> None:
    def works(one: Any = mark) -> None: ...

    with pytest.raises(ConfigurationError, match=words):
        make().task(works)


def test_what_is_no_dependency_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"write Depends\(get_db\), without calling it"):
        Depends(7)  # type: ignore[arg-type]

    other: Any = Depends(aget_db)

    def twice(one: Db = other) -> None: ...

    with pytest.raises(ConfigurationError, match=r"`one` of task .* depends on two things"):
        make().task(twice)

    nothing: Any = Depends()

    def without(one: Any = nothing) -> None: ...

    with pytest.raises(ConfigurationError, match=r"has Depends\(\) without what it depends on"):
        make().task(without)


def test_an_annotation_that_is_defined_below_the_task_is_refused_at_its_first_call() -> None:
    """Until then nobody can know whether the parameter travels."""
    namespace: dict[str, Any] = {"Annotated": Annotated, "Depends": Depends, "app": make()}
    code = "from __future__ import annotations\n@app.task(name='works')\ndef works(db: Later) -> None: ...\n"
    exec(code, namespace)
    namespace["Later"] = Db
    with pytest.raises(InvalidSignature, match=r"`db` is injected, .* define it above"):
        namespace["works"].delay()


def test_an_override_that_needs_a_loop_does_not_do_for_a_function() -> None:
    app = make()

    @app.task
    def works(db: Db) -> None: ...

    with (
        app.dependency_overrides.using({get_db: aget_db}),
        pytest.raises(TaskFailed, match="needs an event loop"),
    ):
        works.delay().get()
