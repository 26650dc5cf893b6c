"""The pages in several admin sites, beside a project's own, and what the models without a table must not disturb."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskflow.contrib.django.admin_pages.places import place_of
from taskflow.states import State
from tests.contrib.django.admin.site import Person, Site
from tests.contrib.django.admin.test_pages import page_of
from tests.inspector.stored import Stored

pytestmark = pytest.mark.xdist_group("django_admin")
"""One process of pytest-xdist: they share the site."""

DOCS = Path(__file__).parents[4] / "docs" / "django-admin.md"


def test_another_site_has_the_same_pages_under_its_own_addresses(admin: Person, stored: Stored) -> None:
    stored.put(State.ARCHIVED, "t")
    stored.served()
    page = admin.get("/second/taskflow/task/", queue=stored.queue)
    assert page.ids == ["t"]
    assert not [link for link in page.links.values() if link.startswith("/admin/")]
    one = admin.get(page.links["t"])
    assert one.url.endswith(page_of("task", stored.queue, "t").replace("/admin/", "/second/"))
    assert not [link for link in one.links.values() if link.startswith("/admin/")]
    form = [("action", "run"), ("_selected_action", place_of(stored.queue, "t"))]
    done = admin.confirm(admin.post("/second/taskflow/task/", form))
    assert done.url.endswith("/second/taskflow/task/")
    assert stored.state("t") == "pending"
    for model in ("queue", "worker"):
        assert admin.get(f"/second/taskflow/{model}/").status == 200


def test_a_projects_own_pages_say_who_may_do_what(site: Site, stored: Stored) -> None:
    """There they are for all staff, without a way to delete; this site has no pages of queues and workers to link to."""
    stored.put(State.ARCHIVED, "t")
    person = site.as_("nobody")
    page = person.get("/support/taskflow/task/", queue=stored.queue)
    assert (page.status, page.ids) == (200, ["t"])
    assert not [link for link in page.links.values() if "/queue/" in link or "/worker/" in link]
    assert person.get(page.links["t"]).actions == []
    person = site.as_("admin")
    assert person.get(page.links["t"]).actions == ["run"]
    form = [("action", "delete"), ("_selected_action", place_of(stored.queue, "t")), ("confirmed", "yes")]
    assert "Nothing was changed" in person.post("/support/taskflow/task/", form).text
    assert stored.state("t") == "archived"


COMMANDS = """
import django
django.setup()
from django.core.management import call_command
call_command("check", fail_level="WARNING")
call_command("makemigrations", check_changes=True, dry_run=True)
call_command("dumpdata", use_base_manager=True, exclude=["sessions"], output="/dev/null")
from django.db import connection
assert not [table for table in connection.introspection.table_names() if table in
            ("taskflow_task", "taskflow_queue", "taskflow_worker")]
"""


def test_models_without_a_table_are_in_nobodys_way(site: Site) -> None:
    """A dump of the whole project would fail with a table that does not exist, or every project had a migration to make."""
    done = site.run(COMMANDS)
    assert done.returncode == 0, done.stderr


def test_the_code_of_the_page_runs_as_it_stands(site: Site) -> None:
    """docs/django-admin.md, in a project whose admin has found its pages already."""
    setting, registering, deriving = re.findall(r"(?ms)^```py\n(.*?)^```$", DOCS.read_text())
    program = f"""
import django
django.setup()
from django.contrib import admin
from django.test import override_settings
admin.autodiscover()
{setting}
with override_settings(TASKFLOW=TASKFLOW):
    from taskflow.contrib.django import making
    assert making.current_settings().admin_show_arguments
{registering}
assert all(staff_site.is_registered(model) for model in django.apps.apps.get_app_config("taskflow").get_models()
           if model.__name__ in ("Queue", "Task", "Worker"))
{deriving}
assert type(admin.site.get_model_admin(Task)) is TasksOfSupport
assert [order.name for order in TasksOfSupport.orders] == ["run", "cancel", "archive"]
"""
    done = site.run(program)
    assert done.returncode == 0, done.stderr
