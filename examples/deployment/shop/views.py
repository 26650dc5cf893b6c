"""The views: one enqueues, another shows what became of it."""

from uuid import UUID

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from .tasks import count_words

views = Blueprint("views", __name__)


@views.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Whether this process answers. Not the broker: while that is away, all other pages still work."""
    return {"ok": True}


@views.post("/count")
def count() -> ResponseReturnValue:
    handle = count_words.delay(request.form["text"])
    return {"id": handle.id, "result": url_for("views.show", task_id=handle.id)}, 202


@views.get("/count/<uuid:task_id>")
def show(task_id: UUID) -> ResponseReturnValue:
    handle = count_words.result(str(task_id))
    state = handle.state
    if state is None:
        return {"error": "unknown, or no longer kept"}, 404
    return {"state": state, "words": handle.get() if state == "completed" else None}
