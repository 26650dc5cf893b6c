"""Looking at where other threads are, which Python before 3.12 does not do safely by itself."""

from __future__ import annotations

import gc
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType

import pytest

from taskflow.tasks.thread_frames import thread_frames


@pytest.fixture
def threads() -> Iterator[list[threading.Thread]]:
    """Some threads that wait."""
    end = threading.Event()
    started = [threading.Thread(target=end.wait) for _ in range(20)]
    for thread in started:
        thread.start()
    yield started
    end.set()
    for thread in started:
        thread.join()


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="from 3.12 on, the collector only runs between two bytecodes"
)
def test_nothing_is_collected_while_frames_are_made(
    threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child with soft limits once ended with SIGSEGV: a finalizer had let the thread go on whose frame was being made."""
    making = False
    collections: list[bool] = []
    make = sys._current_frames

    def watched() -> dict[int, FrameType]:
        nonlocal making
        making = True
        try:
            return make()
        finally:
            making = False

    def note(phase: str, info: dict[str, int]) -> None:
        collections.append(making)

    monkeypatch.setattr(sys, "_current_frames", watched)
    usual = gc.get_threshold()
    gc.callbacks.append(note)
    gc.set_threshold(1)
    try:
        for _ in range(100):
            assert {thread.ident for thread in threads} <= thread_frames().keys()
    finally:
        gc.set_threshold(*usual)
        gc.callbacks.remove(note)

    assert collections, "the collector has run, at other moments"
    assert not any(collections)
    assert gc.isenabled()


def test_a_collector_that_is_switched_off_stays_so(threads: list[threading.Thread]) -> None:
    gc.disable()
    try:
        thread_frames()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_process_that_is_forked_meanwhile_collects_and_can_look_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that forks does not know of the thread that looks whether a soft limit may be raised."""
    looks, forked = threading.Event(), threading.Event()
    make = sys._current_frames

    def slow() -> dict[int, FrameType]:
        looks.set()
        forked.wait(10)
        return make()

    monkeypatch.setattr(sys, "_current_frames", slow)
    thread = threading.Thread(target=thread_frames)
    thread.start()
    assert looks.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
        child = os.fork()
    if child == 0:
        monkeypatch.undo()
        looked = threading.Thread(target=thread_frames, daemon=True)
        looked.start()
        looked.join(5)
        os._exit(0 if gc.isenabled() and not looked.is_alive() else 1)
    forked.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert gc.isenabled()
