"""docs/options.md is what the table of options makes: `python -m tests.test_options_docs` writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from taskflow import Declaration, Options
from taskflow.options.option import Option, Scope, Way
from taskflow.options.refused import CELERYS
from taskflow.options.table import OPTIONS, SECTIONS

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
COMMAND = "python -m tests.test_options_docs"

HEAD = """# Options

Every option of a task and of a call. This page is made from the table that the code itself uses (`taskflow/options/table.py`).

```python
app = TaskFlow("shop", retention=600)                              # app: for every task

@app.task(queue="images", max_retries=5, wait=wait_random(1, 60))  # task: for every call of this one
def resize(src: str, width: int = 800) -> str: ...

resize.options(delay=60, unique=3600).delay("a.png")               # call
resize.apply_async(("a.png",), {"width": 100}, countdown=60)       # call, as in Celery
resize.options(queue="slow").map([("a.png",), ("b.png",)])         # map: many calls with the same options
```

- What is nearer to the call wins: the call's options over the task's, and those over the app's. Headers add up.
- `None` is as if an option was not given.
- Where **seconds** are asked for, a number or a `timedelta` may be given; a **moment** is a `datetime` with a time zone.
- An option that is wrong is refused where it is written, before anything is sent: `UnknownOption` (a `TypeError`) for one that
  there is not or that has its place elsewhere, `InvalidOption` for a value that cannot be. Type checkers find most of it earlier.
- In `app.batch()` each call has its own options, as ever.

How it travels:

- *field*: in a field of the stored message, where workers and tools in Go read it, too.
- *header*: in a header of the message; workers in Go pass it over.
- *script*: told to the script that enqueues; the server keeps it beside the message.
- *caller*: not at all; it is for the process that enqueues.
- *code*: not at all; workers have it from the code that they import.
"""

TAIL = """## What Celery has and there is not

Refused where it is written, with these words. (`retry` is refused in a call; in a declaration it is tenacity's.)

| Celery's | here |
|---|---|
"""

TYPES: dict[Any, str] = {**get_type_hints(Options), **get_type_hints(Declaration), "bind": bool, "base": type}


def page() -> str:
    """The whole page."""
    sections = [f"## {title}\n\n{table(options)}\n{notes(options)}" for title, options in SECTIONS.items()]
    refused = "".join(f"| `{name}` | {instead} |\n" for name, instead in CELERYS.items())
    return "\n".join([HEAD, *sections, f"{TAIL}{refused}"])


def table(options: tuple[Option, ...]) -> str:
    head = "| option | type | unit | default | given to | travels | Celery | Asynq |\n" + "|---" * 8 + "|\n"
    return head + "".join(f"| {' | '.join(cells(option))} |\n" for option in options)


def cells(option: Option) -> Iterator[str]:
    yield f"`{option.name}`"
    yield f"`{type_name(TYPES[option.name])}`".replace("|", "\\|")
    yield option.unit
    yield "" if option.default is None else f"`{option.default!r}`"
    yield ", ".join(scope for scope in Scope if scope in option.scopes)
    yield {
        Way.MESSAGE: f"field `{option.key}`",
        Way.HEADER: f"header `{option.key}`",
        Way.SCRIPT: "script",
        Way.CALLER: "caller",
        Way.CODE: "code",
    }[option.way]
    yield f"`{option.celery}`" if option.celery else ""
    yield f"`{option.asynq}`" if option.asynq else ""


def notes(options: tuple[Option, ...]) -> str:
    return "".join(f"- **`{option.name}`**: {' '.join(sentences(option))}\n" for option in options)


def sentences(option: Option) -> Iterator[str]:
    yield option.doc
    for name, scopes in option.aliases.items():
        where = "" if scopes == option.scopes else " of a call"
        yield f"Also written `{name}`, Celery's word{where}."
    if option.rivals:
        yield f"Not together with {' or '.join(f'`{name}`' for name in option.rivals)}."
    for other, why in option.refuses.items():
        yield f"Not with `{other}`: {why}."


def type_name(kind: Any) -> str:
    """A type as it is written, without None; as the typing module writes it depends on Python's version."""
    origin, members = get_origin(kind), get_args(kind)
    if origin is None:
        return "..." if kind is ... else kind.__name__
    if origin is Literal:
        return " | ".join(map(repr, members))
    if origin in (Union, UnionType):
        return " | ".join(type_name(one) for one in members if one is not type(None))
    if origin is Callable:
        return "Callable"
    return f"{origin.__name__}[{', '.join(map(type_name, members))}]"


def test_the_page_is_what_the_table_makes() -> None:
    """It was written by hand in as many places as an option is spelt in, and each of them said something else."""
    assert PAGE.read_text() == page(), f"write it anew: {COMMAND}"


def test_every_option_has_what_the_page_says_of_it() -> None:
    for option in OPTIONS:
        assert option.doc.endswith("."), option.name
        assert option.unit, option.name
        assert option.scopes, option.name


if __name__ == "__main__":
    PAGE.write_text(page())
