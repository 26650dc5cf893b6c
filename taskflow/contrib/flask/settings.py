"""`app.config["TASKFLOW"]`: what `TaskFlow` takes, as a dict, or from variables of the environment."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_type_hints

from taskflow import Defaults, TaskFlow
from taskflow.errors import ConfigurationError, UnknownOption

KEY = "TASKFLOW"

NAMES = frozenset({*inspect.signature(TaskFlow).parameters, *get_type_hints(Defaults)}) - {"defaults"}
"""All that `TaskFlow` takes."""

LISTS = ("include", "signing_keys", "encryption_keys")
"""What is a list may be a text with commas: `FLASK_TASKFLOW__SIGNING_KEYS=new-key,old-key`."""


def options_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration of an application says, by the names that `TaskFlow` has for it.

    Names may be in capitals: `from_prefixed_env` makes {"BROKER": …} of FLASK_TASKFLOW__BROKER. Of a name in both ways, the one
    that was set last counts.

    Args:
        config: `app.config`.

    Raises:
        UnknownOption: a name is misspelt.
        ConfigurationError: it is no dict, or there is something beside it that would be read by nobody.
    """
    for name in config:
        if name.startswith(f"{KEY}_"):
            option = name.removeprefix(f"{KEY}_").strip("_")
            raise ConfigurationError(
                f"app.config[{name!r}] is read by nobody: write app.config[{KEY!r}] = {{{option.lower()!r}: …}}, or the variable "
                f"FLASK_{KEY}__{option}, with two underscores before {option}"
            )
    given = config.get(KEY)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"app.config[{KEY!r}] is a dict of what TaskFlow takes, as {{'broker': 'redis://…'}}, not a {type(given).__name__}"
        )
    options = {str(name).lower(): value for name, value in given.items()}
    for name in options.keys() - NAMES:
        if near := get_close_matches(name, NAMES, 1):  # else `TaskFlow` knows better what to say
            raise UnknownOption(f"app.config[{KEY!r}] has {name!r}; did you mean {near[0]!r}?")
    for name in LISTS:
        if isinstance(value := options.get(name), str):
            options[name] = [part.strip() for part in value.split(",")]
    if isinstance(queues := options.get("queues"), Mapping):
        options["queues"] = {queue: _lower(of_queue) for queue, of_queue in queues.items()}
    return options


def _lower(options: Any) -> Any:
    return (
        {str(name).lower(): value for name, value in options.items()}
        if isinstance(options, Mapping)
        else options
    )
