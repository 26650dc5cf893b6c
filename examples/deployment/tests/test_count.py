"""Each test has an empty server of its own; its fixtures, whose names begin with `taskflow_`, come with taskflow."""

import pytest
from flask import Flask
from taskflow.testing import assert_enqueued, drain

from shop import create_app
from shop.tasks import count_words


@pytest.fixture
def app(taskflow_sandbox: object) -> Flask:
    app = create_app()
    app.testing = True
    return app


def test_a_view_enqueues_a_task_and_another_shows_its_result(app: Flask) -> None:
    client = app.test_client()
    answer = client.post("/count", data={"text": "one two three"})
    assert answer.status_code == 202
    assert_enqueued(count_words, "one two three")
    assert client.get(answer.json["result"]).json == {"state": "pending", "words": None}
    drain()
    assert client.get(answer.json["result"]).json == {"state": "completed", "words": 3}


def test_what_nobody_has_enqueued_is_not_found(app: Flask) -> None:
    nothing = "00000000-0000-0000-0000-000000000000"
    assert app.test_client().get(f"/count/{nothing}").status_code == 404


def test_the_server_answers(app: Flask) -> None:
    assert app.test_client().get("/healthz").json == {"ok": True}
