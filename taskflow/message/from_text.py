"""Arguments that were written as text, on a command line: made into what a task's parameters are annotated with (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from taskflow.errors import InvalidArguments
from taskflow.message.argument_errors import decoding_problem
from taskflow.message.parameters import Parameter, Parameters, resolve_type
from taskflow.message.payload import DECODING_ERRORS, EXACT_ENCODER, from_plain


def json_or_text(text: str) -> Any:
    """A value of which nothing is known: what its JSON holds, or the text itself.

    Example:
        >>> json_or_text("100"), json_or_text('["a"]'), json_or_text("a.png")
        (100, ['a'], 'a.png')
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def payload_of(
    parameters: Parameters,
    name: str,
    positional: Sequence[Any],
    given: Mapping[str, Any],
    texts: Mapping[str, str],
) -> bytes:
    """A call of a task as its payload, which the task's signature has yet to check.

    Args:
        parameters: those of the task's function.
        name: the task's name, for errors.
        positional: arguments by their place, as JSON holds them.
        given: arguments by their names, as JSON holds them.
        texts: arguments by their names, written as text: `100` for an int, `a.png` for a str, `["a"]` for a list.

    Returns:
        One JSON object.

    Raises:
        InvalidArguments: there are more positional ones than parameters, one is given twice, or a text does not fit.
    """
    by_place = [one for one in parameters.named if not one.keyword_only]
    if len(positional) > len(by_place):
        raise InvalidArguments(
            f"task {name!r} takes {len(by_place)} positional arguments but {len(positional)} were given"
        )
    known = {spelling: one for one in parameters.named for spelling in (one.wire_name, one.name)}
    values: dict[str, Any] = {}
    groups = (
        [(parameter.name, value) for parameter, value in zip(by_place, positional, strict=False)],
        list(given.items()),
        [(key, _value(text, known.get(key), parameters, name)) for key, text in texts.items()],
    )
    for group in groups:
        for key, value in group:
            wire = known[key].wire_name if key in known else key
            if wire in values:
                raise InvalidArguments(f"task {name!r}: argument `{key}` is given twice")
            values[wire] = value
    return EXACT_ENCODER.encode(values)


def _value(text: str, parameter: Parameter | None, parameters: Parameters, name: str) -> Any:
    """The value that a text stands for. Where a type takes the text and its JSON, as `str` does, the text is meant."""
    if parameter is None:
        return json_or_text(text)
    type_ = resolve_type(parameter, parameters)
    if type_ in (Any, object):
        return json_or_text(text)
    try:
        return msgspec.convert(text, type_, strict=False, dec_hook=from_plain)
    except DECODING_ERRORS as first:
        try:
            written = json.loads(text)
        except ValueError:
            problem = first
        else:
            try:
                return msgspec.convert(written, type_, strict=False, dec_hook=from_plain)
            except DECODING_ERRORS as second:
                problem = second
    raise InvalidArguments(f"task {name!r}: {decoding_problem(problem, {}, inside=parameter.name)}")
