"""Who of many idle workers waits for a queue, and who only looks at it now and then (pure, but for chance).

All who wait are woken by every task, and all but one in vain: with 200 of them a task would cost the server 600 commands. So
few should wait, and nobody knows how many others there are. But everybody knows what came of being woken. Each loss makes a
worker wait more seldom, each win more often, and as a win outweighs `WIN` losses, the crowd comes to rest where each task wakes
about `WIN + 1` of it, however large it is. Those who do not wait look by themselves, the more seldom the larger the crowd must
be; all of them together so often that a task does not lie for long if those who wait are suddenly busy or gone.
"""

from __future__ import annotations

import random

WIN = 8
"""So many losses a win makes good."""

FREE = 8
"""Up to so many losses in a row count as chance: a few workers that take turns should all wait all the time."""

MOST = FREE + 4
"""A worker of a crowd of any size waits for a sixteenth of its time at least: those who wait now may all be busy soon."""

FIRST_LOOK, LAST_LOOK = 0.25, 1.5
"""Seconds between two looks, at most: in a small crowd, and in a large one (where Asynq's workers look as often)."""

LEFT_LOOK = 0.1
"""Seconds between two looks, at most, while what waits is left to others: then a wait would end at once. A lone worker's next
task is late by so much.
"""

HELP = 2
"""A worker does what one of the crowd has to do each second so many times as often as it waits."""


class IdleBackoff:
    """What one worker believes about the others on its queue.

    Args:
        dice: for the choices; they must differ between workers.
    """

    def __init__(self, dice: random.Random | None = None) -> None:
        self._dice = dice or random.Random()
        self._losses = 0

    def won(self) -> None:
        """It was woken, and got a task."""
        self._losses = max(self._losses - WIN, 0)

    def lost(self) -> None:
        """It was woken, and somebody else had been faster."""
        self._losses = min(self._losses + 1, MOST)

    def found(self) -> None:
        """There was a task though nobody had woken it: too few wait."""
        self._losses = 0

    @property
    def share(self) -> float:
        """The part of its time for which it waits: 1 when it seems to be alone, or nearly."""
        return float(2.0 ** -max(self._losses - FREE, 0))

    def waits(self) -> bool:
        """Whether it waits now."""
        return self._losses <= FREE or self._dice.random() < self.share

    def pause(self) -> float:
        """Seconds until it looks by itself."""
        return self._dice.uniform(0.5, 1.0) * min(FIRST_LOOK / self.share, LAST_LOOK)

    def pause_beside(self) -> float:
        """Seconds until it asks again while all that waits is left to others: longer in a crowd, of whom one will ask."""
        return self._dice.uniform(0.5, 1.0) * min(LEFT_LOOK / self.share, LAST_LOOK)

    def stretch(self, most: float) -> float:
        """How many times longer it may wait before it does again what any of the crowd can do: `most` at most, 1 when alone.

        No loop may rest for 20 seconds: the watchdog would take it for one that stands still.
        """
        return min(max(1 / (HELP * self.share), 1.0), most)

    def helps(self) -> bool:
        """Whether it does this time what one of the crowd has to do: always, unless the crowd is large."""
        return self._dice.random() < HELP * self.share
