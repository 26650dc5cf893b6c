"""The web application: one view enqueues, another shows what became of it."""

from uuid import UUID

from flask import Flask, request, url_for
from flask.typing import ResponseReturnValue
from tasks import app as taskflow_app
from tasks import count_words

from taskflow import State
from taskflow.errors import BrokerUnavailable


def create_app() -> Flask:
    web = Flask(__name__)

    @web.post("/count")
    def count() -> ResponseReturnValue:
        result = count_words.delay(request.form["text"])
        return {"id": result.id, "result": url_for("show", task_id=result.id)}, 202

    @web.get("/count/<uuid:task_id>")
    def show(task_id: UUID) -> ResponseReturnValue:
        result = taskflow_app.result(str(task_id), queue=count_words.queue)
        state = result.state
        if state is None:
            return {"error": "unknown, or no longer kept"}, 404
        if state is State.COMPLETED:
            return {"state": state, "words": result.get()}
        return {"state": state}

    @web.errorhandler(BrokerUnavailable)
    def broker_is_away(error: BrokerUnavailable) -> ResponseReturnValue:
        return {"error": "try again later"}, 503

    return web
