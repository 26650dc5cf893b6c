"""What a framework's factory makes inside a test is on the test's server, whatever its settings say."""

from __future__ import annotations

import flask

from taskflow import shared_task
from taskflow.contrib.flask import FlaskTaskFlow
from taskflow.testing import Sandbox, assert_enqueued, drain


def test_an_application_of_flask_and_its_context(box: Sandbox) -> None:
    @shared_task(name="framework:price")
    def price(number: int) -> int:
        return number * int(flask.current_app.config["FACTOR"])

    application = flask.Flask("shop")
    application.config.update(TASKFLOW={"broker": "redis://127.0.0.1:1", "retention": 60}, FACTOR=3)
    FlaskTaskFlow().init_app(application)
    application.add_url_rule("/", "order", lambda: {"id": price.delay(2).id})

    answer = application.test_client().get("/").json
    assert_enqueued(price, 2)
    assert drain().names == [price.name]
    with application.app_context():
        assert price.result(answer["id"]).get() == 6
        box.worker(application.extensions["taskflow"])
        assert price.delay(3).get(20) == 9
