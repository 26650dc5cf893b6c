"""What the admin's pages show: the lists, what they are filtered by, and a page for each thing."""

from __future__ import annotations

import re
import time
from urllib.parse import quote

import pytest
import redis

from taskflow.attempts import attempt_line
from taskflow.broker.sync import Broker
from taskflow.contrib.django.admin_pages import listing
from taskflow.contrib.django.admin_pages.places import place_of
from taskflow.inspector import Inspector, TaskFilter
from taskflow.partitions import partition_names
from taskflow.states import State
from tests.contrib.django.admin.site import Page, Person, Site
from tests.inspector.stored import Stored
from tests.inspector.test_matching import archive

pytestmark = pytest.mark.xdist_group("django_admin")
"""One process of pytest-xdist: they share the site."""

TASKS, QUEUES, WORKERS = (f"/admin/taskflow/{model}/" for model in ("task", "queue", "worker"))


def page_of(model: str, *names: str) -> str:
    """The address of a page, as the admin quotes it."""
    return f"/admin/taskflow/{model}/{quote(_quoted(place_of(*names)))}/change/"


def _quoted(place: str) -> str:
    return re.sub(r'[":/_#?;@&=+$,\[\]<>%\n\\]', lambda found: f"_{ord(found[0]):02X}", place)


@pytest.fixture
def several(stored: Stored) -> Stored:
    """As `taskflow task ls` is tried."""
    archive(stored, "a", ago=7200)
    archive(stored, "b", name="shop.refund", ago=60)
    archive(stored, "c", error="Timeout", text="No answer from GATEWAY")
    archive(stored, "d", name="mail.send", error="", text="smtp")
    return stored


def test_the_index_has_a_section_with_queues_tasks_and_workers(site: Site, admin: Person) -> None:
    """It asks no broker: the admin works while that is away."""
    with site.using(BROKER="redis://127.0.0.1:1"):
        page = admin.get("/admin/")
    assert page.links["Taskflow"] == "/admin/taskflow/"
    assert [page.links[name] for name in ("Queues", "Tasks", "Workers")] == [QUEUES, TASKS, WORKERS]
    assert not [name for name in page.links.values() if "/taskflow/" in name and name.endswith("/add/")]


def test_queues_are_listed_with_what_they_hold(admin: Person, stored: Stored) -> None:
    for state in State:
        stored.put(state, state.value)
    page = admin.get(QUEUES)
    (row,) = (row for row in page.rows if stored.queue in row)
    assert row[2:10] == ["running", *"1111111"]
    assert page.actions == ["pause", "resume", "remove"]
    shown = admin.get(page_of("queue", stored.queue))
    assert shown.status == 200
    assert "none takes from this queue" in shown.text
    assert ["Active", "Pending", "Retry", "Archived", "Scheduled", "Aggregating", "Completed"] in shown.rows
    assert shown.actions == ["pause"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "abcd"),
        ({"state": "archived"}, "abcd"),
        ({"state": "pending"}, ""),
        ({"name": "shop.*"}, "abc"),
        ({"error": "PaymentError"}, "ab"),
        ({"error": "shop.errors.*"}, "abc"),
        ({"text": "gateway"}, "c"),
        ({"older": "1h"}, "a"),
        ({"newer": "1h30m"}, "bcd"),
        ({"name": "shop.*", "error": "PaymentError", "newer": "1h"}, "b"),
        ({"q": "c"}, "c"),
        ({"q": "nobody"}, ""),
    ],
)
def test_tasks_are_found_as_task_ls_finds_them(
    admin: Person, several: Stored, asked: dict[str, str], expected: str
) -> None:
    page = admin.get(TASKS, queue=several.queue, **asked)
    assert page.status == 200
    assert sorted(page.ids) == list(expected)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"state": "FAILURE"}, "there is no state 'FAILURE'"),
        ({"older": "soon"}, "older than 'soon': write it as 45s, 30m"),
        ({"state": "scheduled", "older": "2h"}, "of tasks in state scheduled nothing says how old they are"),
        ({"queue": "no-such-queue"}, "no-such-queue"),
        ({"queue": "{brace"}, "brace"),
        ({"start": "-4", "queue": "x y"}, ""),
    ],
)
def test_what_cannot_be_asked_is_said_and_lists_nothing(
    admin: Person, several: Stored, asked: dict[str, str], problem: str
) -> None:
    page = admin.get(TASKS, **{"queue": several.queue, **asked})
    assert page.status == 200
    assert problem in page.text
    assert page.ids == []


def test_a_task_is_found_by_its_id_in_whatever_queue(admin: Person, stored: Stored) -> None:
    archive(stored, f"of-{stored.queue}")
    page = admin.get(TASKS, q=f"of-{stored.queue}")
    assert page.ids == [f"of-{stored.queue}"]
    assert admin.get(page.links[page.ids[0]]).status == 200


def test_pages_follow_one_another_without_a_count_of_what_fits(admin: Person, stored: Stored) -> None:
    for number in range(250):
        archive(stored, f"{number:03}", ago=1000 - number)
    page = admin.get(TASKS, queue=stored.queue, state="archived")
    assert "1 to 100 of 250 tasks" in page.text
    seen = page.ids
    while "Next" in page.links:
        page = admin.get(TASKS + page.links["Next"])
        seen += page.ids
    assert seen == [f"{number:03}" for number in range(250)]
    assert "201 to 250 of 250 tasks" in page.text
    assert "First" in page.links


def test_a_filter_looks_at_so_many_tasks_and_goes_on_from_there(
    stored: Stored, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million tasks of which none fits would keep the page for a minute."""
    monkeypatch.setattr(listing, "MOST_LOOKS", 20)
    monkeypatch.setattr(listing, "PAGE", 7)
    for number in range(60):
        archive(stored, f"{number:02}", name="rare" if number in (3, 41) else "usual", ago=1000 - number)
    inspector = Inspector(broker)
    blocks = listing.blocks_of([inspector.queue(stored.queue)], listing.STATES)
    pages, start = [], 0
    while True:
        page = listing.read_page(inspector, blocks, TaskFilter(name="rare"), start, 7)
        pages.append(([task.id for task in page.tasks], page.looked))
        if page.end is None:
            break
        start = page.end
    assert pages == [(["03"], 20), ([], 20), (["41"], 20)]


def test_a_page_begins_in_the_right_state_of_the_right_queue(stored: Stored, broker: Broker) -> None:
    inspector = Inspector(broker)
    for state in (State.RETRY, State.SCHEDULED, State.PENDING):
        for number in range(5):
            stored.put(state, f"{state.value}-{number}")
    blocks = listing.blocks_of([inspector.queue(stored.queue)], listing.STATES)
    every = [task.id for task in listing.read_page(inspector, blocks, listing.EVERY, 0).tasks]
    assert len(every) == 15
    for start in range(15):
        page = listing.read_page(inspector, blocks, listing.EVERY, start, 4)
        assert [task.id for task in page.tasks] == every[start : start + 4]
        assert page.end == (start + 4 if start + 4 < 15 else None)


def test_a_task_shows_its_attempts_with_their_tracebacks(admin: Person, stored: Stored) -> None:
    archive(stored, "failed")
    lines = [
        "".join(attempt_line(time.time() - ago, 0.5, "host:1:x", "PaymentError", "shop.errors", text, trace))
        for ago, text, trace in ((60, "first", "Traceback one"), (1, "declined", "Traceback two"))
    ]
    stored.raw.hset(stored.keys.task("failed"), "attempts", "\n".join(lines) + "\n")
    page = admin.get(page_of("task", stored.queue, "failed"))
    assert page.status == 200
    for words in ("shop.charge", "PaymentError: declined", "Traceback one", "Traceback two", "host:1:x"):
        assert words in page.text
    assert page.text.index("Traceback two") < page.text.index("Traceback one")
    assert page.actions == ["run", "delete"]


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.PENDING, ["cancel", "archive", "delete"]),
        (State.ACTIVE, ["cancel"]),
        (State.SCHEDULED, ["run", "cancel", "archive", "delete"]),
        (State.RETRY, ["run", "cancel", "archive", "delete"]),
        (State.ARCHIVED, ["run", "delete"]),
        (State.COMPLETED, ["run", "delete"]),
        (State.AGGREGATING, ["run", "cancel", "archive", "delete"]),
    ],
)
def test_a_task_offers_what_its_state_allows(
    admin: Person, stored: Stored, state: State, actions: list[str]
) -> None:
    stored.put(state, "t")
    assert admin.get(page_of("task", stored.queue, "t")).actions == actions


def test_arguments_are_hidden_until_the_project_shows_them_and_the_user_may_see_them(
    site: Site, stored: Stored
) -> None:
    """A listing of tasks is for operators; what is in them may be for few."""
    stored.put(State.COMPLETED, "t")
    address = page_of("task", stored.queue, "t")
    secret = "4111-secret"

    def shows(name: str) -> bool:
        page = site.as_(name).get(address)
        assert page.status == 200
        assert (secret in page.html) == ("paid" in page.html)
        return secret in page.html

    people = ("admin", "view_task", "view_task_arguments+view")
    assert [shows(name) for name in people] == [False, False, False]
    with site.using(ADMIN_SHOW_ARGUMENTS=True):
        assert [shows(name) for name in people] == [True, False, True]
        assert secret not in site.as_("admin").get(TASKS, queue=stored.queue).html


def test_workers_are_listed_with_their_queues(admin: Person, stored: Stored) -> None:
    stored.served()
    page = admin.get(WORKERS)
    assert page.rows[1][:4] == ["host:1", "active", "0 of 1", f"{stored.queue} :1"]
    shown = admin.get(page.links["host:1"])
    assert (shown.status, "host" in shown.text) == (200, True)


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.mark.broken_keys
def test_nothing_that_is_stored_becomes_markup(
    site: Site, admin: Person, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    """django_dramatiq showed what workers had written as HTML: whoever may enqueue could act as an admin."""
    stored = Stored(broker, raw, f"{queue}<script>alert(0)</script>")
    archive(stored, HOSTILE, name=HOSTILE, error=HOSTILE, text=HOSTILE)
    line = "".join(attempt_line(time.time(), 0.5, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE))
    message = stored.message(
        HOSTILE,
        type=HOSTILE,
        payload=b'{"html":"' + HOSTILE.encode() + b'"}',
        error_msg=HOSTILE,
        headers={HOSTILE: HOSTILE},
    )
    stored.raw.hset(
        stored.keys.task(HOSTILE),
        mapping={"msg": message.encode(), "attempts": line + "\n", "result": HOSTILE},
    )
    with site.using(ADMIN_SHOW_ARGUMENTS=True):
        pages = [
            admin.get(QUEUES),
            admin.get(page_of("queue", stored.queue)),
            admin.get(TASKS, name=HOSTILE, text=HOSTILE, error=HOSTILE),
            admin.get(TASKS, queue=stored.queue),
            admin.get(TASKS, q=HOSTILE),
            admin.get(page_of("task", stored.queue, HOSTILE)),
            admin.order("task", "run", place_of(stored.queue, HOSTILE)),
            admin.order("task", "archive", place_of(stored.queue, HOSTILE)),
        ]
        pages.append(admin.confirm(pages[-1]))  # refused, in words that name it
        pages.append(admin.confirm(pages[-3]))
        place = page_of("task", stored.queue, HOSTILE)
        pages.append(admin.get(place.replace("/change/", "/history/")))
    assert [page.status for page in pages] == [200] * len(pages)
    assert HOSTILE in pages[5].text
    for page in pages:
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html
    stored.raw.srem("asynq:queues", stored.queue)


@pytest.mark.broken_keys
@pytest.mark.parametrize(
    "task_id",
    [b"a/b", b"50%_2F", b"caf\xc3\xa9", b"\xff\xfe", b"a b", b"..", b"a\x00b", "\u202etxt".encode()],
    ids=repr,
)
def test_a_task_of_any_id_has_a_page(admin: Person, stored: Stored, raw: redis.Redis, task_id: bytes) -> None:
    """Go takes any text for an id, and other programs any bytes."""
    stored.go_hash(task_id, "archived")
    raw.zadd(stored.keys.archived, {task_id: int(time.time())})
    listed = admin.get(TASKS, queue=stored.queue)
    assert listed.status == 200
    address = next(link for link in listed.links.values() if link.startswith(TASKS) and "/change/" in link)
    page = admin.get(address)
    assert (page.status, page.actions) == (200, ["run", "delete"])
    done = admin.confirm(admin.order("task", "run", *places(page)))
    assert "Pending, to run as soon as a worker is free: 1 task" in done.text
    assert admin.get(address.replace("/change/", "/history/")).status == 200


def places(page: Page) -> list[str]:
    return [value for name, value in page.hidden if name == "_selected_action"]


@pytest.mark.broken_keys
def test_what_cannot_be_read_is_listed_and_can_be_deleted(
    admin: Person, stored: Stored, raw: redis.Redis
) -> None:
    raw.zadd(stored.keys.archived, {"lost": int(time.time())})
    raw.hset(stored.keys.task("garbage"), mapping={"msg": b"\xff\xff", "state": "archived"})
    raw.zadd(stored.keys.archived, {"garbage": int(time.time())})
    page = admin.get(TASKS, queue=stored.queue)
    assert sorted(row[1:3] for row in page.rows[1:]) == [["garbage", "(unreadable)"], ["lost", "(missing)"]]
    assert "unreadable" in admin.get(page_of("task", stored.queue, "garbage")).text
    done = admin.confirm(
        admin.order("task", "delete", *(place_of(stored.queue, one) for one in ("lost", "garbage")))
    )
    assert "Deleted: 2 tasks (lost, garbage)" in done.text


@pytest.mark.broken_keys
def test_of_a_queue_one_partition_may_be_missing(
    admin: Person, broker: Broker, raw: redis.Redis, queue: str
) -> None:
    """The others are listed, and what is missing is said; an order for all that fit leaves the whole queue out, and says so."""
    parts = [Stored(broker, raw, name) for name in partition_names(queue, 3)]
    for number, part in enumerate(parts):
        part.put(State.PENDING, f"of-{number}")
    raw.delete(parts[1].keys.pending)
    raw.set(parts[1].keys.pending, "no list")
    page = admin.get(TASKS, queue=queue)
    assert (page.status, sorted(page.ids)) == (200, ["of-0", "of-2"])
    assert f"Missing here: queue {queue!r}: partition {parts[1].queue}: " in page.text
    shown = admin.get(page_of("queue", queue))
    assert (shown.status, "Partitions" in shown.text) == (200, True)
    asked = admin.post(TASKS, [("action", "delete"), ("select_across", "1")], queue=queue)
    assert "Nothing was changed" in asked.messages[0]
    assert [part.state(f"of-{number}") for number, part in enumerate(parts)] == ["pending"] * 3
    for part in parts:
        raw.delete(*part.all_keys())
        raw.srem("asynq:queues", part.queue)


def test_a_task_that_is_gone_is_said_to_be(admin: Person, stored: Stored) -> None:
    page = admin.get(page_of("task", stored.queue, "gone"))
    assert (page.status, page.url.endswith(TASKS)) == (200, True)
    assert page.messages == [
        f"Task 'gone' is not in queue {stored.queue!r} any more: it has succeeded and is not kept, or was deleted."
    ]
    for address in (page_of("queue", "gone-queue"), page_of("worker", "gone"), f"{TASKS}nonsense/change/"):
        assert admin.get(address).messages
