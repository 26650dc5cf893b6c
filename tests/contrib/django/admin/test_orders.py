"""Orders from the admin's pages: asked first, then done, and what became of each is said."""

from __future__ import annotations

import pytest
import redis

from taskflow.contrib.django.admin_pages.places import place_of
from taskflow.states import State
from tests.contrib.django.admin.site import Person, Site
from tests.contrib.django.admin.test_pages import page_of
from tests.inspector.stored import Stored
from tests.inspector.test_matching import archive

pytestmark = pytest.mark.xdist_group("django_admin")
"""One process of pytest-xdist: they share the site."""

TASKS, QUEUES = "/admin/taskflow/task/", "/admin/taskflow/queue/"


def log_of(site: Site, text: str) -> list[tuple[str, str, int]]:
    """What the admin's log has about something: its object, what was done, and the kind of entry."""
    return site.query(
        "SELECT object_repr, change_message, action_flag FROM django_admin_log WHERE object_id LIKE ? OR object_repr LIKE ? "
        "ORDER BY id",
        f"%{text}%",
        f"%{text}%",
    )


@pytest.mark.parametrize(
    ("order", "state", "after", "said", "flag"),
    [
        ("run", State.ARCHIVED, "pending", "Pending, to run as soon as a worker is free", 2),
        ("run", State.SCHEDULED, "pending", "Pending, to run as soon as a worker is free", 2),
        ("run", State.COMPLETED, "pending", "Pending, to run as soon as a worker is free", 2),
        ("cancel", State.PENDING, "archived", "Cancelled, and archived", 2),
        ("cancel", State.ACTIVE, "active", "Running, told to stop, and not run again", 2),
        ("archive", State.RETRY, "archived", "Archived", 2),
        ("delete", State.ARCHIVED, None, "Deleted", 3),
    ],
)
def test_an_order_asks_is_done_and_says_what_became_of_it(
    site: Site,
    admin: Person,
    stored: Stored,
    order: str,
    state: State,
    after: str | None,
    said: str,
    flag: int,
) -> None:
    ids = ["first", "second"]
    for task_id in ids:
        stored.put(state, task_id)
    asked = admin.order("task", order, *(place_of(stored.queue, one) for one in ids))
    assert "2 tasks" in asked.text
    assert [stored.state(one) for one in ids] == [state.value] * 2, "nothing is done before the answer"
    done = admin.confirm(asked)
    assert done.messages == [f"{said}: 2 tasks (first, second)"]
    assert [stored.state(one) for one in ids] == [after] * 2
    assert [(name, kind) for name, _, kind in log_of(site, stored.queue)] == [
        ("first", flag),
        ("second", flag),
    ]
    again = admin.confirm(asked)
    assert len(again.messages) in (1, 2)
    assert [stored.state(one) for one in ids] == [after] * 2


def test_one_that_refuses_keeps_no_other_from_it(admin: Person, stored: Stored) -> None:
    stored.put(State.ARCHIVED, "good")
    stored.put(State.ACTIVE, "busy")
    chosen = [place_of(stored.queue, one) for one in ("busy", "gone", "good")]
    done = admin.confirm(admin.order("task", "delete", *chosen))
    assert stored.state("good") is None
    assert stored.state("busy") == "active"
    assert len(done.messages) == 3
    text = " ".join(done.messages)
    assert "Not done: task 'busy' of queue" in text
    assert "is active, so it cannot be deleted" in text
    assert "Deleted: 1 task (good)" in text
    assert "'gone'" in text


def test_an_order_from_a_tasks_page_comes_back_to_it(admin: Person, stored: Stored) -> None:
    stored.put(State.ARCHIVED, "t")
    address = page_of("task", stored.queue, "t")
    page = admin.get(address)
    form = [("action", "run"), *[pair for pair in page.hidden if pair[0] != "csrfmiddlewaretoken"]]
    done = admin.confirm(admin.post(TASKS, form))
    assert done.url.endswith(address)
    assert "pending" in done.text
    form[0] = ("action", "delete")
    done = admin.confirm(admin.post(TASKS, form))
    assert done.url.endswith(TASKS)
    assert done.messages == ["Deleted: 1 task (t)"]


@pytest.mark.parametrize(
    ("order", "query", "moved", "after"),
    [
        ("run", {"error": "PaymentError"}, "ab", "pending"),
        ("run", {"state": "archived"}, "abcd", "pending"),
        ("delete", {"name": "shop.*", "older": "1h"}, "a", None),
        ("delete", {}, "abcd", None),
    ],
)
def test_an_order_for_all_that_fit_is_for_no_other(
    site: Site,
    admin: Person,
    stored: Stored,
    order: str,
    query: dict[str, str],
    moved: str,
    after: str | None,
) -> None:
    archive(stored, "a", ago=7200)
    archive(stored, "b", name="shop.refund", ago=60)
    archive(stored, "c", error="Timeout", text="No answer")
    archive(stored, "d", name="mail.send", error="", text="smtp")
    form = [("action", order), ("select_across", "1"), ("_selected_action", place_of(stored.queue, "a"))]
    asked = admin.post(TASKS, form, queue=stored.queue, **query)
    assert f"{len(moved)} task{'' if len(moved) == 1 else 's'} of queue" in asked.text
    assert {stored.state(one) for one in "abcd"} == {"archived"}
    done = admin.confirm(asked)
    number = f"{len(moved)} task{'' if len(moved) == 1 else 's'}"
    assert [line.endswith(f": {number}") for line in done.messages] == [True]
    assert [one for one in "abcd" if stored.state(one) == after] == list(moved)
    ((name, _, _),) = log_of(site, stored.queue)
    assert name.startswith(f"{len(moved):,} tasks: queue")


def test_all_that_fit_are_cancelled_whether_they_wait_or_run(admin: Person, stored: Stored) -> None:
    for state in State:
        stored.put(state, state.value)
    form = [("action", "cancel"), ("select_across", "1")]
    asked = admin.post(TASKS, form, queue=stored.queue)
    assert "5 tasks" in asked.text
    done = admin.confirm(asked)
    assert done.messages == [
        "Running, told to stop, and not run again: 1 task",
        "Cancelled, and archived: 4 tasks",
    ]
    left = {state.value: stored.state(state.value) for state in State}
    assert left == {state.value: "archived" for state in State} | {
        "active": "active",
        "completed": "completed",
    }


def test_an_order_that_is_for_nothing_says_so(admin: Person, stored: Stored) -> None:
    stored.put(State.PENDING, "t")
    for form, query, said in [
        ([("action", "")], {}, "Choose what is to be done. Nothing was changed."),
        ([("action", "explode"), ("_selected_action", "a/b")], {}, "Choose what is to be done."),
        ([("action", "run")], {}, "Choose at least one task. Nothing was changed."),
        ([("action", "run"), ("_selected_action", "nonsense")], {}, "Choose at least one task."),
        ([("action", "run"), ("select_across", "1")], {"queue": stored.queue}, "No task fits"),
        (
            [("action", "run"), ("select_across", "1")],
            {"state": "x"},
            "There is no state 'x'. Nothing was changed.",
        ),
        ([("action", "delete"), ("select_across", "1")], {"queue": "no-such"}, "no-such"),
    ]:
        page = admin.post(TASKS, form, **query)
        assert (page.status, len(page.messages)) == (200, 1)
        assert said in page.messages[0]
    assert stored.state("t") == "pending"


def test_too_many_to_look_at_are_left_to_the_shell(admin: Person, stored: Stored, raw: redis.Redis) -> None:
    """A page has to be there before the server in front of Django loses patience."""
    with raw.pipeline() as pipeline:
        for start in range(0, 100_001, 1000):
            pipeline.zadd(stored.keys.archived, {f"t{start + n}": 1 for n in range(1000)})
        pipeline.execute()
    form = [("action", "delete"), ("select_across", "1")]
    page = admin.post(TASKS, form, queue=stored.queue)
    assert "taskflow task delete" in page.messages[0]
    assert "more than a page does at once (100,000)" in page.messages[0]
    raw.delete(stored.keys.archived)


def test_a_queue_is_paused_resumed_and_removed_when_it_is_empty(
    site: Site, admin: Person, stored: Stored
) -> None:
    stored.put(State.PENDING, "t")
    place = place_of(stored.queue)

    def gives(order: str) -> list[str]:
        asked = admin.order("queue", order, place)
        assert "1 queue" in asked.text
        return admin.confirm(asked).messages

    name = f"1 queue ({stored.queue})"
    assert gives("pause") == [f"Paused: no worker takes from it: {name}"]
    assert "paused" in admin.get(page_of("queue", stored.queue)).text
    assert admin.get(page_of("queue", stored.queue)).actions == ["resume"]
    assert gives("pause") == [f"Was paused already: {name}"]
    assert gives("resume") == [f"Resumed: workers take from it: {name}"]
    (refused,) = gives("remove")
    assert "holds tasks" in refused
    assert stored.state("t") == "pending"
    admin.confirm(admin.order("task", "delete", place_of(stored.queue, "t")))
    assert gives("remove") == [f"Removed: {name}"]
    assert [kind for _, _, kind in log_of(site, stored.queue)] == [2, 2, 2, 3, 3]
    history = admin.get(page_of("queue", stored.queue).replace("/change/", "/history/"))
    assert [row[2] for row in history.rows[1:4]] == ["Pause.", "Pause.", "Resume."]
