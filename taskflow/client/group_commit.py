"""Group commit: callers that come while a trip to a node is under way go together with the next one.

A caller that finds nobody under way goes at once, by itself, so being alone costs nothing and no timer runs. All others wait
in the queue; when the trip ends, the first of them leads the next one and takes the others with it. So the more callers there are
at once, the more share a round trip.

Nobody is stranded: a leader that is interrupted leaves its followers with what it knows, which is nothing, and each of them
sends its own again, as one of which an earlier copy may have run. A leader that is gone without a word (a thread that was
ended from outside) or that has met trouble is overtaken: after `PATIENCE` seconds the first in the queue goes by itself.

A thread may come while it is in here already: from a signal handler, from a finalizer that the collector runs, from a handler of
a log. It cannot wait for what itself has begun, neither for a lock nor for a trip, so it goes by itself and touches nothing.

`CommitQueue` decides, without I/O or locks; `GroupCommit` (for threads) and `AsyncGroupCommit` wait and send.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from .commit_queue import LEADS, Caller, CommitQueue, CommitQueues

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(CommitQueues[K, T, R]):
    """Group commit for threads.

    Args:
        send: sends items of one key within so many seconds, and gives for each what became of it. Its last argument says
            whether earlier copies of them may have run.
        undecided: whether a value says no more than that no answer came in time.
    """

    def __init__(
        self, send: Callable[[K, list[T], float, bool], list[R]], undecided: Callable[[R], bool]
    ) -> None:
        super().__init__(undecided)
        self._send = send
        self._mutex = threading.Lock()
        self._inside: set[int] = set()
        """The threads that are in here, by their identifiers."""
        self._turns: list[threading.Lock] = []
        """Locks that have done their service. A new one for each call takes a twentieth longer."""
        _commits.add(self)

    def submit(self, key: K, item: T, weight: int, timeout: float) -> R:
        """Send an item, together with those of others that come at the same time.

        Args:
            key: items of different keys do not share a trip.
            item: what to send.
            weight: its bytes.
            timeout: seconds for everything together.

        Returns:
            What became of the item.

        Raises:
            BrokerUnavailable: there was no answer in time.
        """
        thread, inside = threading.get_ident(), self._inside
        if thread in inside:
            return self._send(key, [item], timeout, False)[0]
        inside.add(thread)
        try:
            queue = self._queues.get(key) or self._queue(key)
            alone = [item]
            caller: Caller[T, R] | None = None
            with self._mutex:
                if queue.leader is None:  # nearly always
                    queue.leader = alone
                else:
                    caller = Caller(item, weight, time.monotonic() + timeout)
                    queue.enter(caller)
                    try:
                        caller.turn = self._turns.pop()
                    except IndexError:
                        caller.turn = threading.Lock()
                        caller.turn.acquire()
            if caller is None:
                return self._go_alone(key, queue, alone, timeout)
            if self._wait(queue, caller):
                return self._lead(key, queue, caller)
            if self._alone(caller):
                return self._send(key, [item], caller.deadline - time.monotonic(), True)[0]
            return caller.value  # type: ignore[return-value]
        finally:
            inside.discard(thread)

    def _go_alone(self, key: K, queue: CommitQueue[T, R], items: list[T], timeout: float) -> R:
        """What `_lead` does for one who found nobody under way: those who come now wait for its return."""
        try:
            return self._send(key, items, timeout, False)[0]
        finally:
            successor = None
            with self._mutex:
                if queue.leader is items and not queue.waiting:
                    queue.leader = None
                else:
                    successor = queue.leave(items)
            if successor is not None:
                successor.turn.release()

    def _wait(self, queue: CommitQueue[T, R], caller: Caller[T, R]) -> bool:
        """Wait until the caller is answered, or True: until it is to lead."""
        try:
            while not caller.turn.acquire(timeout=self._seconds(caller)):
                with self._mutex:
                    if not self._waits_on(queue, caller):
                        break
            else:
                # It was released, which happens once. A caller that went on by itself leaves its lock to nobody: somebody may
                # still be about to release it.
                self._turns.append(caller.turn)
        except BaseException:
            with self._mutex:
                successor = queue.abandon(caller)
            if successor is not None:
                successor.turn.release()
            raise
        finally:
            if caller.wakes is not None:
                caller.wakes.turn.release()
        return caller.state is LEADS

    def _lead(self, key: K, queue: CommitQueue[T, R], leader: Caller[T, R]) -> R:
        batch = [leader]
        values: list[R] | None = None
        try:
            with self._mutex:
                batch = queue.batch(leader)
            values = self._send(
                key, [caller.item for caller in batch], leader.deadline - time.monotonic(), False
            )
            return values[0]
        finally:
            # Each wakes the next. If the leader woke them all, they would wake only to queue up for the interpreter.
            with self._mutex:
                successor, first = queue.end(batch, values)
            if successor is not None:
                successor.turn.release()
            if first is not None:
                first.turn.release()

    def _after_fork(self) -> None:
        """The threads that were under way or in the queue are the parent's."""
        self._mutex = threading.Lock()
        self._inside = set()
        self._turns = []
        self._queues = {}


_commits: weakref.WeakSet[GroupCommit[Any, Any, Any]] = weakref.WeakSet()


def _after_fork() -> None:
    for commit in list(_commits):
        commit._after_fork()


os.register_at_fork(after_in_child=_after_fork)
