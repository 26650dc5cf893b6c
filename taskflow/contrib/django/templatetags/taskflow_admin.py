"""Filters for the templates of the admin's pages. What they give is escaped by the template as any text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import formats, timezone

from taskflow.inspector import printable

register = template.Library()


@register.filter  # type: ignore[untyped-decorator]
def shown(text: object) -> str:
    """Foreign text on one line, with escapes for what cannot be seen as a character of its own."""
    return printable(str(text))


@register.filter  # type: ignore[untyped-decorator]
def shown_lines(text: object) -> str:
    """The same for text of many lines."""
    return "\n".join(map(printable, str(text).expandtabs().split("\n")))


@register.filter  # type: ignore[untyped-decorator]
def beginning(text: object, most: int) -> str:
    """The first characters of a foreign text; whoever wants all of it opens the page of its task."""
    line = str(text).partition("\n")[0]
    return printable(line if len(line) <= most else f"{line[:most]}…")


@register.filter  # type: ignore[untyped-decorator]
def at(moment: datetime | None) -> str:
    """A moment, in Django's time zone and format, to the second."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    return f"{formats.date_format(local, 'DATE_FORMAT')}, {local:%H:%M:%S}"


@register.filter  # type: ignore[untyped-decorator]
def ago(moment: datetime | None) -> str:
    """How long ago a moment was, or how long it is until then."""
    if moment is None:
        return ""
    left = moment - datetime.now(UTC)
    if abs(left) < timedelta(seconds=1):
        return "now"
    return f"in {span(left)}" if left > timedelta() else f"{span(-left)} ago"


@register.filter  # type: ignore[untyped-decorator]
def span(length: timedelta) -> str:
    """A length of time in its two largest units."""
    seconds = int(length.total_seconds())
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


@register.filter  # type: ignore[untyped-decorator]
def counted(number: float) -> str:
    """A number with separators of thousands."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6g}"
