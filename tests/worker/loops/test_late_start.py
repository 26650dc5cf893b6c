"""The loops that no task waits for come a moment later, and nothing waits while they are imported."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow.worker.loops.late_start import LateStart

MODULE = "late_module_of_a_test"
GOES_ON = threading.Event()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    GOES_ON.clear()
    yield tmp_path / f"{MODULE}.py"
    sys.modules.pop(MODULE, None)


def test_the_event_loop_goes_on_while_they_are_imported(module: Path) -> None:
    """It stood still for up to 85 ms, a tenth of a second after the first tasks: just while they ran."""
    module.write_text(f"from {__name__} import GOES_ON\nassert GOES_ON.wait(20)\n")
    begun: list[bool] = []

    async def scene() -> None:
        late = LateStart(MODULE, lambda: begun.append(MODULE in sys.modules))
        assert await late.tick() < 1, "first of all come the first tasks"
        tick = asyncio.create_task(late.tick())
        await asyncio.sleep(0)
        assert not begun
        GOES_ON.set()
        await asyncio.wait_for(tick, 20)
        assert begun == [True]
        await late.tick()

    asyncio.run(scene())
    assert begun == [True, True]


def test_nothing_begins_that_cannot_be_imported(module: Path) -> None:
    """The round fails, and is tried again."""
    module.write_text("raise ImportError('a file is missing')")
    begun: list[bool] = []

    async def scene() -> None:
        late = LateStart(MODULE, lambda: begun.append(True))
        await late.tick()
        with pytest.raises(ImportError, match="a file is missing"):
            await late.tick()
        assert not begun
        module.write_text("")
        await late.tick()
        assert begun

    asyncio.run(scene())
