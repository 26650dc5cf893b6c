"""Who sees what, and who may do what: the table of docs/django-admin.md, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskflow.contrib.django.admin_pages.orders import QUEUE_ORDERS, TASK_ORDERS
from taskflow.contrib.django.admin_pages.places import place_of
from taskflow.states import State
from tests.contrib.django.admin.site import Site
from tests.contrib.django.admin.test_pages import page_of
from tests.inspector.stored import Stored

pytestmark = pytest.mark.xdist_group("django_admin")
"""One process of pytest-xdist: they share the site."""

DOCS = Path(__file__).parents[4] / "docs" / "django-admin.md"

TABLE = {
    permission: (set(pages.split(", ")) - {"none"}, set(orders.split(", ")) - {"none"})
    for permission, pages, orders in re.findall(
        r"^\| `taskflow\.(\w+)` \| (.+?) \| (.+?) \|$", DOCS.read_text(), re.MULTILINE
    )
}
"""For each permission the pages and the orders that the table says."""

OUR_OWN = ("run_task", "arguments")

MODELS = {"queues": "queue", "tasks": "task", "workers": "worker"}
ORDERS = [("queue", order.name) for order in QUEUE_ORDERS] + [("task", order.name) for order in TASK_ORDERS]


def test_the_table_has_every_permission_and_every_order(site: Site) -> None:
    made = site.query(
        "SELECT codename FROM auth_permission JOIN django_content_type AS type ON type.id = content_type_id "
        "WHERE app_label = 'taskflow' AND model IN ('queue', 'task', 'worker')"
    )
    assert sorted(TABLE) == sorted(name for (name,) in made)
    assert {order for _, orders in TABLE.values() for order in orders} == {name for _, name in ORDERS}
    assert len(TABLE) == 9
    assert len(ORDERS) == 7


@pytest.mark.parametrize("permission", [*TABLE, "nobody"])
def test_a_permission_opens_its_pages_and_no_other(site: Site, stored: Stored, permission: str) -> None:
    """Staff without any sees nothing, not even that there is such a section."""
    stored.put(State.ARCHIVED, "t")
    stored.served()
    pages = TABLE.get(permission, (set(), set()))[0]
    person = site.as_(permission)
    index = person.get("/admin/")
    # The admin lists what may be viewed, changed or deleted; permissions of our own come on top of those.
    assert ("Taskflow" in index.links) == (permission in TABLE and not permission.endswith(OUR_OWN))
    for name, model in MODELS.items():
        expected = 200 if name in pages else 403
        one = {"queue": (stored.queue,), "task": (stored.queue, "t"), "worker": ("test",)}[model]
        address = page_of(model, *one)
        for path in (f"/admin/taskflow/{model}/", address, address.replace("/change/", "/history/")):
            assert person.get(path).status == expected, path
        # Its links lead nowhere where it may not go.
        if expected == 200:
            others = [f"/admin/taskflow/{MODELS[other]}/" for other in set(MODELS) - pages]
            shown = person.get(address)
            assert not [link for link in shown.links.values() if link.startswith(tuple(others))]


@pytest.mark.parametrize("permission", [*TABLE, "nobody"])
@pytest.mark.parametrize(("model", "order"), ORDERS)
def test_a_permission_allows_its_orders_and_no_other(
    site: Site, stored: Stored, permission: str, model: str, order: str
) -> None:
    stored.put(State.SCHEDULED, "t")
    allowed = order in TABLE.get(permission, (set(), set()))[1]
    takes_more = not TABLE.get(permission, ({"-"}, set()))[0]  # a page to give it from
    person = site.as_(f"{permission}+view" if takes_more else permission)
    place = place_of(stored.queue, "t") if model == "task" else place_of(stored.queue)
    asked = person.order(model, order, place)
    assert asked.status == (200 if allowed else 403)
    if allowed:
        assert person.confirm(asked).messages
    else:
        # Neither without the question.
        form = [("action", order), ("_selected_action", place), ("confirmed", "yes")]
        assert person.post(f"/admin/taskflow/{model}/", form).status == 403
        every = [("action", order), ("select_across", "1"), ("confirmed", "yes"), ("_selected_action", place)]
        assert person.post(f"/admin/taskflow/{model}/", every, queue=stored.queue).status == 403
        assert stored.state("t") == "scheduled"


def test_who_may_look_only_is_offered_nothing(site: Site, stored: Stored) -> None:
    stored.put(State.SCHEDULED, "t")
    for name in ("view_task", "view_queue"):
        model = name.removeprefix("view_")
        page = site.as_(name).get(f"/admin/taskflow/{model}/")
        assert (page.status, page.actions) == (200, [])
        one = page_of(model, stored.queue, "t") if model == "task" else page_of(model, stored.queue)
        assert site.as_(name).get(one).actions == []


def test_who_has_not_logged_in_is_sent_to_do_so(site: Site, stored: Stored) -> None:
    for model in MODELS.values():
        page = site.as_("").get(f"/admin/taskflow/{model}/")
        assert page.url.endswith(f"/admin/login/?next=/admin/taskflow/{model}/")


def test_an_order_without_the_forms_token_is_refused(site: Site, stored: Stored) -> None:
    """Another site's form, sent by the browser of somebody who has logged in."""
    stored.put(State.SCHEDULED, "t")
    admin = site.as_("admin")
    form = [("action", "delete"), ("_selected_action", place_of(stored.queue, "t")), ("confirmed", "yes")]
    assert admin.post("/admin/taskflow/task/", form, token=False).status == 403
    assert stored.state("t") == "scheduled"
    assert admin.post("/admin/taskflow/task/", form).status == 200
    assert stored.state("t") is None
