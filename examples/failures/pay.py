"""Enqueue, read what failed, and put it right."""

from tasks import PaymentError, app, charge

from taskflow import State
from taskflow.errors import TaskFailed
from taskflow.inspector import TaskFilter

handles = [charge.delay(card) for card in (1, 13, 13, -1)]

# What a failure says: the type, the text, the worker's traceback, and every attempt.
failure = handles[1].get(timeout=30, propagate=False)
assert isinstance(failure, TaskFailed)
print(f"{failure.kind}: {failure.text}, {len(failure.attempts)} attempts")

# As the exception that the task raised, since this process knows its type.
try:
    handles[1].get(propagate="original")
except PaymentError as error:
    print("the same type again:", error)
print("in ask_gateway" in failure.traceback)

# Of many failures those that have a reason in common.
for handle in handles:
    handle.get(timeout=30, propagate=False)
inspector, declined = app.inspector, TaskFilter(error="PaymentError")
count, failed = (sum(inspector.count_matching(State.ARCHIVED, *one).values()) for one in ((declined,), ()))
print(f"orders: {count} of {failed} were declined")
print(inspector.run_matching(State.ARCHIVED, TaskFilter(text="no such card")), "is run again")
