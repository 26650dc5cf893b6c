"""Enqueue, and ask what became of it."""

from tasks import Parcel, app, stamp, weigh

from taskflow.errors import TaskFailed

# What a task returns has the type that its function is annotated with.
parcel: Parcel = weigh.delay(7).get(timeout=30)
print(parcel)

# An id is all that another process needs; without a queue, all those of the app are asked.
handle = app.result(stamp.delay(500).id)
try:
    handle.get(timeout=30)
except TaskFailed as error:
    print(handle.queue, handle.status, handle.failed(), error.text)
handle.forget()
print(handle.state)

# Of a task that is somewhere else the name is enough, and its arguments by theirs.
printed = app.send("invoices:print", queue="invoices", invoice=42)
print(printed.queue, printed.status, app.result(printed.id, queue="invoices").name)
