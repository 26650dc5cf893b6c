"""The words for arguments that do not fit: which one, and why, but never its value (pure).

msgspec's own texts show some values ("Invalid enum value 'x'"), a model's and a `__post_init__`'s any. So
only texts that are known to hold none are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from taskflow.message.parameters import Parameters
from taskflow.message.payload import Refused

_PLACE = re.compile(r"(?:`key` in )?`\$(.*)`", re.DOTALL)
_FIRST_STEP = re.compile(r"\.([^.\[]+)(.*)", re.DOTALL)
_HARMLESS = re.compile(
    r"Expected `.*|Integer value out of range|Number out of range|"
    r"Invalid (?:RFC3339 encoded .*|UUID|decimal string|base64 encoded string|ISO8601 duration)",
    re.DOTALL,
)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)


def decoding_problem(
    error: Exception, names: Mapping[str, str], *, inside: str = "", noun: str = "argument"
) -> str:
    """Say why JSON does not fit a task.

    Args:
        error: one of `payload.DECODING_ERRORS`.
        names: what to call an argument, by its name in JSON.
        inside: the argument's name, when it was decoded alone.
        noun: what the parts are called.

    Returns:
        Which argument, and why.

    Example:
        >>> try: msgspec.json.decode(b'{"a":"x"}', type=dict[str, int])
        ... except msgspec.ValidationError as error: decoding_problem(error, {})
        'argument `[...]`: expected int, got str'
    """
    if isinstance(error, RecursionError):
        return "the payload is nested too deeply"
    if isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error):
        # The first until msgspec 0.22, a DecodeError that says so from 0.23 on.
        return "the payload is not valid UTF-8"
    if not isinstance(error, msgspec.ValidationError):
        return f"{'the payload' if noun == 'argument' else 'it'} is not JSON ({error})"
    text, place = _split(str(error))
    what = _what(text, error.__cause__)
    if isinstance(error.__cause__, Refused):
        place += error.__cause__.where
    if inside:
        return f"{noun} `{_shown(inside)}{place}`: {what}"
    if place:
        return f"{noun} `{_argument(place, names)}`: {what}"
    if match := _FIELD.fullmatch(text):
        problem = "missing" if match[1].startswith("missing") else "unexpected"
        return f"{problem} {noun} `{_shown(match[2])}`"
    if text.startswith("Expected `object`") and noun == "argument":
        return f"the payload must be a JSON object: {what}"
    return what


def _split(text: str) -> tuple[str, str]:
    """Take msgspec's "what - at `$.place`" apart."""
    what, found, place = text.rpartition(" - at ")
    match = _PLACE.fullmatch(place) if found else None
    return (what, match[1]) if match else (text, "")


def _what(text: str, cause: BaseException | None) -> str:
    if isinstance(cause, Refused):
        return f"refused by its model ({cause.what})"
    if cause is not None:
        return f"refused by its type ({type(cause).__name__})"
    if match := _FIELD.fullmatch(text):
        return f"{match[1].replace('contains ', '')} field `{_shown(match[2])}`"
    if text.startswith("Invalid enum value"):
        return "not one of the values that its type allows"
    if _HARMLESS.fullmatch(text):
        return text[0].lower() + text[1:].replace("`", "")
    return "does not fit its type"


def _argument(place: str, names: Mapping[str, str]) -> str:
    match = _FIRST_STEP.fullmatch(place)
    return names.get(match[1], _shown(match[1])) + match[2] if match else place


def _shown(name: str) -> str:
    """Show a name that came with the data: escaped and cut."""
    return ascii(name)[1:-1][:60]


def binding_problem(parameters: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Say why a call does not fit the parameters, in the words that Python has for it.

    Args:
        parameters: those of the task's function.
        args: positional arguments.
        kwargs: arguments by name.

    Returns:
        What is wrong.
    """
    positional = [parameter.name for parameter in parameters.named if not parameter.keyword_only]
    if len(args) > len(positional):
        return f"takes {_count(len(positional))} but {len(args)} {'was' if len(args) == 1 else 'were'} given"
    for name in positional[: len(args)]:
        if name in kwargs:
            return f"got multiple values for argument `{name}`"
    known = [parameter.name for parameter in parameters.named]
    for name in kwargs:
        if name == parameters.given_by_taskflow:
            return f"argument `{name}` is filled by taskflow (bind=True) and cannot be given"
        if name in parameters.injected:
            return f"argument `{name}` is injected where the task runs (Depends) and cannot be given"
        if name not in known and not parameters.extra:
            return f"got an unexpected argument `{_shown(name)}`{_near(name, known)}"
    given = {*positional[: len(args)], *kwargs}
    missing = [f"`{p.name}`" for p in parameters.named if p.required and p.name not in given]
    if missing:
        return f"missing argument{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return "the arguments do not fit its parameters"


def _count(number: int) -> str:
    return f"{number} positional argument{'' if number == 1 else 's'}"


def _near(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (did you mean `{near[0]}`?)" if near else f" (it takes {', '.join(known) or 'none'})"
