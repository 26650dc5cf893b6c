"""What `taskflow worker` is told in numbers, as Celery writes them: how many tasks at once, and how much memory."""

from __future__ import annotations

import re

import click

from ..worker.children.wear import can_tell_memory
from ..worker.cores import usable_cores

_SIZE = re.compile(r"(\d+)\s*(?:([KMG])(?:i?B)?)?", re.IGNORECASE)
_FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

LEAST_MEMORY = 16 << 20
"""Bytes. A child that has done nothing has more: who asks for less has most likely written megabytes as a bare number."""


def concurrency(text: str) -> int:
    """Read `-c`: a number, or `auto`."""
    if text == "auto":
        return usable_cores()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise click.BadParameter(f"{text!r} is neither a number from 1 nor 'auto'", param_hint="-c")
    return int(text)


def autoscale(text: str) -> tuple[int, int]:
    """Read `--autoscale MOST,LEAST`; the least is 1 where it is left out."""
    most, comma, least = (part.strip() for part in text.partition(","))
    hint = "--autoscale"
    for number in (most, least if comma else "1"):
        if not (number.isascii() and number.isdigit() and int(number) > 0):
            raise click.BadParameter(
                f"{text!r}: give the most and the least, two numbers from 1, as in --autoscale 20,4",
                param_hint=hint,
            )
    found = int(most), int(least if comma else "1")
    if found[0] < found[1]:
        raise click.BadParameter(
            f"{text!r}: the most comes first, as Celery has it: --autoscale {found[1]},{found[0]}",
            param_hint=hint,
        )
    return found


def memory(text: str) -> int:
    """Read `--max-memory-per-child`: a bare number is KiB, as Celery's; the suffixes K, M and G are of 1024. Bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(
            f"{text!r} is no size: write 300M, 2G, or a bare number of KiB",
            param_hint="--max-memory-per-child",
        )
    if not can_tell_memory():
        raise click.BadParameter(
            "this system does not tell how much memory a process has (no /proc); --max-tasks-per-child works everywhere",
            param_hint="--max-memory-per-child",
        )
    size = int(match[1]) * _FACTORS[(match[2] or "K").upper()]
    if size < LEAST_MEMORY:
        raise click.BadParameter(
            f"{text!r} is {size >> 10:,} KiB, and a child has more before its first task; a bare number is KiB: write "
            f"{match[1]}M for MiB",
            param_hint="--max-memory-per-child",
        )
    return size
