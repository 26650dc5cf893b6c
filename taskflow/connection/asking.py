"""Carrying out an inquiry: several nodes are asked at once, by threads or by coroutines."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from .coroutines import complete
from .dialing import shun
from .discovery import Said, questions, understood
from .greeting import question_greeting
from .inquiry import Inquiry
from .nodes import async_node, node
from .settings import pack
from .topology import Address
from .url import BrokerURL


def inquire(inquiry: Inquiry, url: BrokerURL) -> None:
    """Ask nodes until it is known whom to believe.

    Each is asked by a thread, which is left behind when it is not needed any more; it ends by itself in a second or two.

    Raises:
        BrokerRefused: every one there is refuses to answer.
    """
    answers: queue.SimpleQueue[tuple[Address, Any, Said | Exception]] = queue.SimpleQueue()

    def ask_one(address: Address, until: float) -> None:
        answers.put(complete(_ask_one(node, url, address, until)))

    while not inquiry.is_over(time.monotonic()):
        for address, until in inquiry.due(time.monotonic()):
            _begin(ask_one, address, until)
        try:
            address, peer, answer = answers.get(timeout=inquiry.patience(time.monotonic()))
        except queue.Empty:
            continue
        _taken(inquiry, address, peer, answer)
    inquiry.conclude(time.monotonic())


async def ainquire(inquiry: Inquiry, url: BrokerURL) -> None:
    """As `inquire`, with a task for each node."""
    tasks: set[asyncio.Task[tuple[Address, Any, Said | Exception]]] = set()
    try:
        while not inquiry.is_over(time.monotonic()):
            tasks |= {
                asyncio.create_task(_ask_one(async_node, url, address, until))
                for address, until in inquiry.due(time.monotonic())
            }
            if not tasks:
                await asyncio.sleep(inquiry.patience(time.monotonic()))
                continue
            done, tasks = await asyncio.wait(
                tasks, timeout=inquiry.patience(time.monotonic()), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                _taken(inquiry, *task.result())
        inquiry.conclude(time.monotonic())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask_one(
    make: Callable[..., Any], url: BrokerURL, address: Address, until: float
) -> tuple[Address, Any, Said | Exception]:
    """What one node says, and to which of its host's addresses the connection led."""
    connection = make(url, address, question_greeting(url), sentinel=url.kind == "sentinel")
    peer = None
    try:
        await connection.open(until)
        peer = connection.peer()
        wires = questions(url)
        replies: list[Any] = []
        connection.reader.send(pack(wires), until)
        await connection.read(replies, len(wires), until)
        return address, peer, understood(url, replies, address)
    except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
        return address, peer, error
    finally:
        connection.drop()


def _taken(inquiry: Inquiry, address: Address, peer: Any, answer: Said | Exception) -> None:
    useful = inquiry.take(address, answer, time.monotonic())
    if not useful and peer is not None:
        shun(peer)  # behind the same name there may be others who know


def _begin(ask_one: Any, address: Address, until: float) -> None:
    try:
        threading.Thread(
            target=ask_one, args=(address, until), name=f"taskflow-ask-{address[0]}:{address[1]}", daemon=True
        ).start()
    except RuntimeError:  # no more threads, as when the interpreter ends
        ask_one(address, until)
