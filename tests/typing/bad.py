"""What a type checker must refuse: one error on each line that is marked, none on the others. Never run."""

from __future__ import annotations

from typing import assert_type

from taskflow import AsyncResult, CurrentTask, TaskFlow

app = TaskFlow("shop", quue="images")  # E: an unknown default

TaskFlow("shop", id="same")  # E: an id is for one call
TaskFlow("shop", countdown=5)  # E: a delay is for one call


@app.task(queue="images", retention=600)
def resize(src: str, width: int = 800) -> str:
    return f"{src} at {width}"


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.task(bind=True)
def bound(self: CurrentTask, number: int) -> int:
    return number + self.retried


@app.task(retries=5)  # E: an unknown option of a task
def misspelt(src: str) -> str:
    return src


@app.task(task_id="same")  # E: an id is for one call
def identical(src: str) -> str:
    return src


@app.task(queue=5)  # E: an option of the wrong type
def mistyped(src: str) -> str:
    return src


@app.task(bind=True)  # E: bind=True needs a parameter for the running task
def unbound() -> None: ...


# Arguments.
resize.delay(123)  # E: a wrong type
resize.delay("a.png", "wide")  # E: a wrong type
resize.delay(src="a.png", width=None)  # E: None is not an int
resize.delay()  # E: a missing argument
resize.delay("a.png", 800, True)  # E: one too many
resize.delay("a.png", height=100)  # E: an unknown argument
resize.delay(["a.png"])  # E: a wrong type
resize(123)  # E: a direct call is checked as well
fetch.delay(url=b"https://example.org")  # E: a wrong type
fetch.delay()  # E: a missing argument
bound.delay("three")  # E: a wrong type
bound.delay(None, 3)  # E: the running task is not given by the caller
resize.options(delay=60).delay(123)  # E: a wrong type, after options

# Options.
resize.options(quue="slow")  # E: an unknown option
resize.options(priority=3)  # E: Celery's priority does not exist
resize.options(delay="60")  # E: a wrong type
resize.options(eta=60)  # E: a moment, not seconds
resize.options(60)  # E: options have names
resize.apply_async(("a.png",), countdwon=60)  # E: an unknown option
resize.apply_async("a.png", {"width"}, countdown=60)  # E: arguments by name are a mapping
resize.apply_async(1)  # E: arguments come in a tuple
resize.map(["a.png"], queue="slow")  # E: map takes calls only
resize.map([1, 2])  # E: a call is a tuple or a dict


# Functions by value.
def crunch(number: int) -> str:
    return str(number)


app.submit(crunch, "one")  # E: a wrong type
app.submit(crunch)  # E: a missing argument
app.submit(5)  # E: no function
app.submit.options(quue="slow")(crunch, 1)  # E: an unknown option
TaskFlow("shop", signing_keys=5)  # E: no list
TaskFlow("shop", error_text="no")  # E: yes or no

# Results.
number: int = resize.delay("a.png").get()  # E: it returns a str
handle: AsyncResult[int] = resize.delay("a.png")  # E: it is a handle on a str
assert_type(resize.delay("a.png"), AsyncResult[int])  # E: it is a handle on a str
resize.delay("a.png").get("10")  # E: a timeout in seconds
print(resize.delay("a.png").value)  # E: no such attribute
print(resize.delay("a.png").status + 1)  # E: it is text, or None
number = resize.result("order-1").get()  # E: it returns a str
AsyncResult(5)  # E: an id is text
app.send("mail", queue=5)  # E: a queue is text
app.send_task("mail", quue="slow")  # E: an unknown option

# Events and middleware.
app.on("task_success")  # E: an event is a class
app.middleware(around="async")  # E: there is no such kind of task

# Queues and tasks.
app.inspector.tasks("images", "retry")  # E: a state is a State
paused: str = app.inspector.pause("images")  # E: it returns a bool


async def inspect_from_asyncio() -> None:
    print((await app.ainspector.queue("images")).peding)  # E: no such attribute
    print(app.ainspector.queue("images").pending)  # E: it has to be awaited


async def from_asyncio() -> None:
    await resize.adelay(123)  # E: a wrong type
    await fetch.adelay("https://example.org", 5)  # E: one too many
    text: str = await fetch("https://example.org")  # E: it returns bytes
    print(text)
