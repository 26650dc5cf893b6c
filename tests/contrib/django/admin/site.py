"""The project behind a web server, and people who look at it, as a browser would without scripts."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.contrib.web import STRICT, serve

PROJECT = Path(__file__).parent / "project"


@dataclass
class Page(HTMLParser):
    """What came back.

    `rows` are the cells of all tables' rows, `messages` what the admin says at the top, `actions` what may be chosen or pressed,
    `links` the addresses by their text.
    """

    status: int
    url: str
    html: str
    rows: list[list[str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    hidden: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""
    _open: list[str] = field(default_factory=list)
    _link: str = ""
    _is_content: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self._into: list[str] | None = None
        self.feed(self.html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._is_content |= given.get("id") == "content"
        if tag == "tr" and self._is_content:  # before it stands the list of all models
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._into = self.rows[-1]
        elif tag == "li" and self._open[-1:] == ["messages"]:
            self.messages.append("")
            self._into = self.messages
        elif tag == "ul":
            self._open.append("messages" if "messagelist" in given.get("class", "") else "ul")
        elif tag == "option" or (tag == "button" and given.get("name") == "action"):
            self.actions += [given["value"]] if given["value"] else []
        elif tag == "a":
            self._link = given.get("href", "")
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "li"):
            self._into = None
        elif tag == "ul":
            self._open.pop()
        elif tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"
        words = " ".join(data.split())
        if self._into is not None and words:
            self._into[-1] = f"{self._into[-1]} {words}".strip()
        if self._link and words:
            self.links[words] = self._link

    @property
    def ids(self) -> list[str]:
        """The ids of the tasks that are listed."""
        return [row[1] if row[0] == "" else row[0] for row in self.rows[1:]]


class Person:
    """Somebody who has logged in."""

    def __init__(self, base: str, name: str) -> None:
        self._base = base
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))
        if name:
            self.get("/admin/login/")
            self.post("/admin/login/", [("username", name), ("password", "secret"), ("next", "/")])

    def get(self, path: str, **query: str) -> Page:
        """A page."""
        return self._ask(urllib.request.Request(self._address(path, query)))

    def post(self, path: str, form: Sequence[tuple[str, str]], *, token: bool = True, **query: str) -> Page:
        """The page that a form leads to."""
        values = [*form, *([("csrfmiddlewaretoken", self._token)] if token else [])]
        return self._ask(
            urllib.request.Request(self._address(path, query), urllib.parse.urlencode(values).encode())
        )

    def order(self, model: str, name: str, *places: str, **query: str) -> Page:
        """Give an order for things in a list, and be asked."""
        chosen = [("_selected_action", place) for place in places]
        return self.post(f"/admin/taskflow/{model}/", [("action", name), *chosen], **query)

    def confirm(self, page: Page) -> Page:
        """Say yes."""
        form = [(name, value) for name, value in page.hidden if name != "csrfmiddlewaretoken"]
        path = page.url.removeprefix(self._base)
        return self.post(path, form)

    @property
    def _token(self) -> str:
        return next((cookie.value or "" for cookie in self._jar if cookie.name == "csrftoken"), "")

    def _address(self, path: str, query: dict[str, str]) -> str:
        return self._base + path + ("?" + urllib.parse.urlencode(query) if query else "")

    def _ask(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=60) as answer:
                return Page(answer.status, answer.url, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, request.full_url, error.read().decode())


class Site:
    """The running project."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url = url
        self.environment = environment
        self._people: dict[str, Person] = {}

    def as_(self, name: str) -> Person:
        """Somebody; "": nobody who has logged in."""
        if name not in self._people:
            self._people[name] = Person(self.url, name)
        return self._people[name]

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """A program of the project's."""
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **STRICT, **self.environment},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def query(self, sql: str, *values: str) -> list[Any]:
        """What the project's database has."""
        with contextlib.closing(sqlite3.connect(self.environment["ADMIN_DATABASE"])) as connection:
            return connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def using(self, **settings: object) -> Iterator[None]:
        """With other values in TASKFLOW."""
        self._use(settings)
        try:
            yield
        finally:
            self._use({})

    def _use(self, settings: dict[str, object]) -> None:
        body = json.dumps(settings).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/use/", body), timeout=30) as answer:
            assert answer.status == 200


@contextlib.contextmanager
def running(directory: Path, broker: str) -> Iterator[Site]:
    """The project with a database of its own."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "admin_settings",
        "ADMIN_DATABASE": str(directory / "db.sqlite3"),
        "TASKFLOW_BROKER": broker,
        "PYTHONPATH": os.pathsep.join([str(PROJECT), STRICT["PYTHONPATH"]]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    subprocess.run(
        [sys.executable, str(PROJECT / "admin_prepare.py")],
        env={**os.environ, **STRICT, **environment},
        cwd=directory,
        check=True,
        timeout=60,
    )
    command = ["-m", "django", "runserver", "--noreload", "--skip-checks", "PORT"]
    with serve(directory, command, environment) as web:
        yield Site(web.url, environment)
