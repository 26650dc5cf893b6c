"""Enqueues each of them, and shows what came of it."""

from proj.celery import app
from proj.library import count_words
from proj.tasks import add, charge, dump_context, fetch, find, import_feed, mul, notify, wait

from taskflow.errors import TaskFailed

print("add", add.delay(2, 2).get(timeout=30))
print("mul", mul.apply_async((8, 8)).get(timeout=30))
print("xsum", app.send_task("proj.tasks.xsum", ([1, 2, 3],)).get(timeout=30))
later = add.apply_async((3, 3), queue="feeds", countdown=0.2, expires=60)
print("add in the queue", later.queue + ", before it expires", later.get(timeout=30))
print("fetch", fetch.delay("http://example.org").get(timeout=30))
print("first import:", import_feed.delay("http://example.org/feed").get(timeout=30))
print("count words:", count_words.delay("one two three").get(timeout=30))
print("dump:", dump_context.delay(2, 3).get(timeout=30))
print("wait:", wait.delay(30).get(timeout=30))
try:
    find.delay("x").get(timeout=30)
except TaskFailed as error:
    print("missing: failed with KeyError:", error.text)
notify.delay("done")
charge.delay(17).get(timeout=30)
