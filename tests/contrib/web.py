"""A web server in a process of its own, and requests to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.servers import free_port, wait_until

ROOT = Path(__file__).parents[2]

STRICT = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"}
"""A warning is an error, in the web server and in the worker."""


class Web:
    """A running web server."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return self._url

    def get(self, path: str) -> tuple[int, Any]:
        """The status, and the JSON of the answer."""
        return self._ask(urllib.request.Request(self._url + path))

    def post(self, path: str, **form: str) -> tuple[int, Any]:
        """The same, for a form."""
        return self._ask(urllib.request.Request(self._url + path, urllib.parse.urlencode(form).encode()))

    def _ask(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
            return error.code, json.loads(body) if body[:1] == b"{" else body.decode()


@contextlib.contextmanager
def serve(directory: Path, arguments: list[str], environment: Mapping[str, str]) -> Iterator[Web]:
    """Run a Python command that serves on the port which its argument `PORT` stands for."""
    port = free_port()
    command = [sys.executable, *(argument.replace("PORT", str(port)) for argument in arguments)]
    log = directory / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **STRICT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    web = Web(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            web.get("/")
            return True
        return False

    try:
        wait_until(answers, description="the web server answers", timeout=30)
        yield web
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
    for bad in ("Warning", "Traceback"):
        assert bad not in log.read_text(), log.read_text()
