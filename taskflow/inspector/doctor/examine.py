"""The examination: the servers, then every queue; and what is done about the findings.

Reading is not atomic: whatever looks wrong in a queue is looked at again by the script that would put it
right, which decides in one step. So what is reported was wrong at one moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...broker.commands.enqueue import publish_queues
from ...broker.commands.inspect import is_listed
from ...broker.commands.repairs import Repair, Repaired, RepairItem
from ...broker.commands.sweep import NOWHERE
from ...broker.keys import ALL_QUEUES, queue_keys
from ...errors import BrokerError, QueueNotFound
from ...message.ids import check_queue_name
from ..both import AnyBroker
from ..queues import all_names, is_placed
from . import healing
from .advice import judge
from .findings import FIX, FIX_ONLY, PROBLEMS, Case, by_repair, finding, key_findings, task_findings, unread
from .image import (
    Inconsistency,
    QueueImage,
    empty_groups,
    endless_keys,
    inconsistencies,
    stale_sets,
    unlisted_groups,
)
from .nodes import read_servers
from .reading import Keyspace, Names, read_facts, read_groups, read_image, read_lists, scan_node, scan_queue
from .serving import examine_serving
from .standstill import standing_still
from .values import Diagnosis, Finding, Fix, Severity


async def examine(broker: AnyBroker, queues: Sequence[str] = (), *, fix: bool = False) -> Diagnosis:
    """Examine the servers and the queues.

    Args:
        broker: where.
        queues: only these; empty: all.
        fix: put right what can be, and examine again.

    Raises:
        BrokerError: no server answers.
        QueueNotFound: there is nothing of a queue that was named.
    """
    servers = await read_servers(broker)
    findings = judge(servers)
    nodes = tuple(node.address for node in servers.nodes)
    away = {node.address for node in servers.nodes if node.problem}
    names, keyspace = await _names(broker, queues, findings)
    fixes: list[Fix] = []
    looked: list[Finding] = []
    for queue in sorted(names):
        node = _node_of(broker, queue)
        if node in away:
            looked.append(unread(f"queue {queue!r}", f"its node {node} does not answer"))
        else:
            looked += await _one_queue(broker, queue, names[queue], fixes, fix=fix)
    looked += await _index(broker, keyspace, names, fixes, fix=fix)
    reached = [queue for queue in sorted(names) if _node_of(broker, queue) not in away]
    looked += await standing_still(broker, reached)
    looked += await examine_serving(broker, reached)
    return Diagnosis((*findings, *looked), tuple(fixes), tuple(sorted(names)), nodes)


async def _names(
    broker: AnyBroker, queues: Sequence[str], findings: list[Finding]
) -> tuple[dict[str, Names], Keyspace]:
    """The queues, with their keys. A node that does not answer is a finding already."""
    found = Keyspace()
    if queues:
        for queue in queues:
            try:
                found.queues[queue] = await _require(broker, queue)
            except BrokerError as error:
                findings.append(unread(f"queue {queue!r}", error))
        return found.queues, Keyspace()
    listed: list[str] = []
    try:
        listed = [name for name in await all_names(broker) if is_placed(broker, name)]
    except BrokerError as error:
        findings.append(unread(ALL_QUEUES, error))
    for node in await broker.masters():
        try:
            await scan_node(broker, node, set(listed), found)
        except BrokerError as error:
            findings.append(unread(f"{node[0]}:{node[1]}", error))
    for name in listed:
        found.queues.setdefault(name, Names())
    return {name: keys for name, keys in found.queues.items() if is_placed(broker, name)}, found


async def _require(broker: AnyBroker, queue: str) -> Names:
    """The keys of a queue; raises QueueNotFound. It may be in any state: its keys are not read."""
    if not is_placed(broker, queue):
        check_queue_name(queue)
    names = await scan_queue(broker, queue)
    if names is None and not await broker.run(is_listed(queue)):
        check_queue_name(queue)
        raise QueueNotFound(queue)
    return names or Names()


def _node_of(broker: AnyBroker, queue: str) -> str:
    """The address of the node that holds a queue, as it is shown."""
    address = broker.topology.owner(queue_keys(queue).slot)
    return f"{address[0]}:{address[1]}" if address else ""


async def _one_queue(
    broker: AnyBroker, queue: str, names: Names, fixes: list[Fix], *, fix: bool
) -> list[Finding]:
    """One queue; with `fix` what is still wrong after it."""
    where = f"queue {queue!r}"
    try:
        case = await _look(broker, queue, names)
        confirmed = await healing.repair_all(broker, queue, case.items, dry=True)
        if fix and await _heal(broker, case, confirmed, fixes, where):
            case = await _look(broker, queue, await scan_queue(broker, queue) or Names())
            confirmed = await healing.repair_all(broker, queue, case.items, dry=True)
    except BrokerError as error:
        return [unread(where, error)]
    return [*task_findings(case, confirmed, where), *key_findings(case, where)]


async def _look(broker: AnyBroker, queue: str, names: Names) -> Case:
    """Read a queue, and name whatever does not look as it should."""
    image = await read_image(broker, queue, names)
    case = Case(queue, image)
    async for task_id, facts in read_facts(broker, queue, {*names.tasks, *image.stands}):
        wrong = inconsistencies(image, task_id, facts)
        if Inconsistency.NOT_A_TASK in wrong and not facts.is_hash:
            case.strangers.append(queue_keys(queue).task(task_id))
        if wrong and (facts.is_hash or task_id in image.stands):
            case.items.append(RepairItem(task_id, image.where(task_id) or NOWHERE))
    if any(item.where == NOWHERE for item in case.items):
        # What moved while one was reading may have been overlooked in both places.
        listed = await read_lists(broker, queue)
        case.items = [item for item in case.items if item.where != NOWHERE or item.id not in listed]
    case.locks = await healing.dangling_locks(broker, queue, image.locks)
    case.late = await healing.count_late(broker, queue)
    # Groups and locks come and go while one reads: those that still look wrong are.
    if any(True for _ in unlisted_groups(image)) or empty_groups(image) or stale_sets(image):
        again = QueueImage(queue)
        await read_groups(broker, again, names.groups)
        image.groups, image.registrations = again.groups, again.registrations
        image.group_keys = again.group_keys
    return case


async def _heal(
    broker: AnyBroker, case: Case, confirmed: Sequence[Repaired], fixes: list[Fix], where: str
) -> bool:
    """Put right what can be; whether anything was done."""
    before = len(fixes)
    wrong = [repaired.item for repaired in confirmed if repaired.repair in PROBLEMS]
    done = await healing.heal_tasks(broker, case.queue, wrong)
    for kind, some in by_repair(done).items():
        if kind in PROBLEMS or kind is Repair.GIVEN_BACK:
            fixes.append(Fix(where, kind.sentence(len(some))))
    image = case.image
    fixes += [Fix(where, text) async for text in healing.heal_groups(broker, case.queue, image)]
    if case.locks:
        released = await healing.release(broker, case.queue, case.locks)
        fixes += [Fix(where, f"dangling unique locks were released: {released}")] if released else []
    if case.late:
        given = await healing.recover_all(broker, case.queue)
        fixes += [Fix(where, f"tasks whose lease had ended are pending again: {given}")] if given else []
    ended = await healing.end_keys(broker, case.queue, endless_keys(image))
    fixes += [Fix(where, f"keys of ours were given an end: {ended}")] if ended else []
    return len(fixes) > before


async def _index(
    broker: AnyBroker, keyspace: Keyspace, names: dict[str, Names], fixes: list[Fix], *, fix: bool
) -> list[Finding]:
    """What belongs to no queue: the index of queues, and the records of workers."""
    try:
        listed = set(await all_names(broker))
        unlisted = [name for name, keys in sorted(names.items()) if keys.tasks and name not in listed]
        records = await healing.endless_records(broker, keyspace.records)
        if fix and unlisted:
            await broker.run(publish_queues(unlisted))
            fixes.append(Fix(ALL_QUEUES, f"queues with tasks are listed again: {', '.join(unlisted)}"))
            unlisted = []
        if fix and records:
            await healing.end_records(broker, records)
            fixes.append(Fix("records of workers", f"records were given an end: {len(records)}"))
            records = []
    except BrokerError as error:
        return [unread(ALL_QUEUES, error)]
    found = []
    if unlisted:
        what = "queues have tasks and are not in the index, so tools do not show them"
        found.append(finding((Severity.WARNING, "unlisted-queue", what), unlisted, ALL_QUEUES, FIX))
    if records:
        what = "records of workers or schedulers never end, so tools show who is long gone"
        found.append(
            finding((Severity.WARNING, "endless-record", what), records, "records of workers", FIX_ONLY)
        )
    return [replace(one, is_fixable=True) for one in found]
