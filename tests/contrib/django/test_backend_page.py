"""docs/django-tasks.md, copied line by line: a project of Django's own generator, its worker, and what is typed in the shell."""

from __future__ import annotations

import re
from pathlib import Path

import django
import pytest

from tests.contrib.django.session import Session
from tests.contrib.pages import ROOT, Page, Terminal
from tests.servers import Server, start_server, wait_until

if django.VERSION < (6,):
    pytest.skip("django.tasks is a part of Django 6: tox -e django60, django61", allow_module_level=True)

PAGE = Page(ROOT / "docs" / "django-tasks.md")

TYPED = """
import doctest, io
from django.tasks import TaskResult
names = globals().setdefault("names", {})
def typed(block):
    said = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    test = doctest.DocTestParser().get_doctest(block, names, "page", None, 0)
    runner.run(test, out=said.write, clear_globs=False)
    names.update(test.globs)
    return said.getvalue()
"""


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    """A newcomer's first try, from `startproject` to the result; and the task with options, which both Djangos take so."""
    server: Server = start_server(tmp_path)
    folder = tmp_path / "site"
    folder.mkdir()
    terminal = Terminal(folder, {"TASKFLOW_TEST": "1"}, {"redis://127.0.0.1:6379": server.url})
    try:
        for line in PAGE.lines("A project"):
            terminal.run(line)
        settings = folder / "proj" / "settings.py"
        added = PAGE.block("A project", 0).replace("redis://127.0.0.1:6379", server.url)
        settings.write_text(f"{settings.read_text()}\n{added}")
        ((name, tasks),) = PAGE.files.items()
        (folder / name).write_text(f"{tasks}\n\n{PAGE.block('Options')}")
        worker, listed = PAGE.lines("Run it")
        first, second = re.findall(r"(?ms)^```pycon\n(.*?)^```", PAGE.section("Run it"))
        told = {"DJANGO_SETTINGS_MODULE": "proj.settings"}
        with terminal.running(worker, ready=" worker for "), Session(folder, told) as shell:
            shell.run(TYPED)
            assert shell.run(f"out = typed({first!r})") == ""
            wait_until(
                lambda: shell.run("result = names['result']; result.refresh(); out = result.is_finished"),
                description="the page's task has ended",
                timeout=60,
            )
            assert shell.run(f"out = typed({second!r})") == ""
            assert "shop.tasks.remind" in terminal.run(listed)
            shell.run("from shop.tasks import fetch")
            shell.run("result = fetch.using(timeout=10, unique=600).enqueue('https://example.org')")
            wait_until(
                lambda: shell.run("result.refresh(); out = str(result.status)") == "SUCCESSFUL",
                description="the task with options has ended",
                timeout=60,
            )
        assert "no issues" in terminal.run(type(worker)("python manage.py check"))
    finally:
        server.stop()
