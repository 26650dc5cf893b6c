"""What must hold of everything that is stored of a queue, whatever was done to it. Knows nothing of the model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any

from taskflow.broker.keys import QueueKeys
from taskflow.message.task_message import TaskMessage
from tests.properties.place import Dump

LIVE = frozenset({"pending", "active", "scheduled", "retry", "aggregating"})
SETS = ("scheduled", "retry", "archived", "completed")


def problems(
    dump: Dump,
    keys: QueueKeys,
    *,
    owned: Collection[str] = (),
    locked: Collection[str] = (),
    unlisted: Collection[str] = (),
    stubs: Collection[str] = (),
) -> list[str]:
    """What does not hold.

    The keywords name what Go may leave behind: tasks that still name an owner, locks that nobody owns, groups that are not
    registered, and hashes without a message.
    """
    places = _places(dump, keys)
    found: list[str] = []
    tasks = {
        name.removeprefix(keys.task_prefix): value
        for name, value in dump.values.items()
        if name.startswith(keys.task_prefix)
    }
    for task_id in sorted(tasks.keys() | places.keys()):
        if task_id not in stubs:
            found += [
                f"task {task_id}: {text}"
                for text in _of_task(tasks.get(task_id), places[task_id], task_id in owned)
            ]
    found += _of_leases(dump, keys)
    found += _of_locks(dump, keys, tasks, locked)
    found += _of_groups(dump, keys, unlisted)
    found += _of_our_keys(dump, keys)
    if dump.values.get(keys.outbox, {}).keys() != dump.values.get(keys.outbox_at, {}).keys():
        found.append("the outbox and its times have different followers")
    return found


def _places(dump: Dump, keys: QueueKeys) -> defaultdict[str, list[str]]:
    """Where each id stands."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for state in ("pending", "active", *SETS):
        for task_id in dump.values.get(keys.state(state), ()):
            places[task_id].append(state)
    for name, value in dump.values.items():
        if name.startswith(keys.group("")):
            for task_id in value:
                places[task_id].append("aggregating")
    return places


def _of_task(fields: dict[str, Any] | None, places: list[str], owned: bool) -> list[str]:
    if fields is None:
        return [f"it stands in {places} and has no hash"]
    if "msg" not in fields:
        return ["its hash has no message"]
    state = fields.get("state", b"").decode()
    found = []
    if places != [state]:
        found.append(f"its state is {state!r}, and it stands in {places}")
    if "owner" in fields and state != "active" and not owned:
        found.append(f"it is {state} and has an owner")
    return found


def _of_leases(dump: Dump, keys: QueueKeys) -> list[str]:
    active, leased = dump.values.get(keys.active, []), dump.values.get(keys.lease, {})
    found = [f"task {one} is {count} times in active" for one, count in Counter(active).items() if count > 1]
    if set(active) != leased.keys():
        found.append(f"active holds {sorted(active)}, leased are {sorted(leased)}")
    return found


def _of_locks(dump: Dump, keys: QueueKeys, tasks: dict[str, Any], locked: Collection[str]) -> list[str]:
    found = []
    for name, value in dump.values.items():
        if not name.startswith(keys.unique_prefix):
            continue
        fields = tasks.get(value.decode(), {})
        lives = fields.get("state", b"").decode() in LIVE
        names = "msg" in fields and TaskMessage.decode(fields["msg"]).unique_key == name
        if not (lives and names) and name not in locked:
            found.append(
                f"lock {name} is held by {value!r}, which {'has another lock' if lives else 'does not live'}"
            )
        if dump.ttls[name] < 0:
            found.append(f"lock {name} never ends")
    return found


def _of_groups(dump: Dump, keys: QueueKeys, unlisted: Collection[str]) -> list[str]:
    sets = dump.values.get(keys.aggregation_sets, {})
    filled = {
        name.removeprefix(keys.group(""))
        for name in dump.values
        if name.startswith(keys.group("")) and name not in sets
    }
    listed = dump.values.get(keys.groups, set())
    found = [f"group {one} has tasks and is not listed" for one in sorted(filled - listed - set(unlisted))]
    return found + [f"group {one} is listed and has none" for one in sorted(listed - filled)]


def _of_our_keys(dump: Dump, keys: QueueKeys) -> list[str]:
    """Every key of ours has an end, or one of its own in the design."""
    return [
        f"{name} never ends"
        for name, ttl in dump.ttls.items()
        if name.startswith(keys.own) and ttl < 0 and name not in (keys.orphans, keys.outbox, keys.outbox_at)
    ]
