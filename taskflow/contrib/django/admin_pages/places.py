"""Where something is in the broker, as one text: the primary key of the admin's models, and a part of their pages' URLs (pure).

Of a queue it is its name, of a task its queue's and its id, with a slash between them. Names may be any text, and ids any bytes,
so both are percent-encoded.
"""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes


def place_of(*names: str) -> str:
    """The place of what has these names.

    Args:
        names: of a queue its name, of a task its queue and its id, of a worker its id.

    Example:
        >>> place_of("orders", "2f6c"), place_of("a/b", "50%")
        ('orders/2f6c', 'a%2Fb/50%25')
    """
    return "/".join(quote(name.encode("utf-8", "surrogateescape"), safe="") for name in names)


def parts_of(place: str) -> tuple[str, ...]:
    """The names that a place is of.

    Args:
        place: as `place_of` makes it; of anything else, as from a URL, come names that nobody has.

    Example:
        >>> parts_of("a%2Fb/50%25")
        ('a/b', '50%')
    """
    return tuple(unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in place.split("/"))
