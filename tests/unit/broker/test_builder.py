"""Keys and arguments go to a script by the names in its head."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from taskflow.broker import builder as builders
from taskflow.broker import scripts
from taskflow.broker.builder import Item, builder, item_of
from taskflow.broker.command import same
from taskflow.broker.keys import queue_keys
from taskflow.broker.scripts import load
from taskflow.broker.words import Enqueued, put_in
from taskflow.states import Verb

KEYS = queue_keys("images")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Scripts in place of ours, by name."""
    texts: dict[str, str] = {}

    def known() -> Mapping[str, str]:
        return texts

    monkeypatch.setattr(scripts, "texts", known)
    monkeypatch.setattr(builders, "load", load.__wrapped__)
    return texts


def a_script(
    keys: str = "pending, taken", args: str = "resent, owner, limit, task_prefix", more: str = ""
) -> str:
    head = f"-- Takes tasks.\n-- moves:   -\n-- keys:    {keys}\n-- args:    {args}\n-- returns: 1\n{more}"
    return head + "return redis.call('LLEN', pending)\n"


def test_a_pair_that_is_swapped_in_the_head_is_swapped_in_the_command(files: dict[str, str]) -> None:
    """A script whose keys are put in another order gets them in that order: nobody has to change a builder with it."""
    files["one"], files["other"] = a_script(), a_script("taken, pending", "owner, resent, task_prefix, limit")

    one, other = (builder(name, "taken owner", limit=7)(KEYS, same, taken="t", owner="o") for name in files)

    assert (one.keys, one.args, one.resend_flag) == ([KEYS.pending, "t"], [0, "o", 7, KEYS.task_prefix], 0)
    assert (other.keys, other.args, other.resend_flag) == (
        ["t", KEYS.pending],
        ["o", 0, KEYS.task_prefix, 7],
        1,
    )


def test_a_name_that_nobody_gives_is_an_error_at_import(files: dict[str, str]) -> None:
    files["take"] = a_script("pending, waiting", "resent, owner, limit, task_prefix")

    with pytest.raises(
        ValueError, match=r"take\.lua: its head names waiting, which its builder does not give"
    ):
        builder("take", "owner", limit=7)


@pytest.mark.parametrize("given", ["owner token", "owner"])
def test_a_name_that_the_head_does_not_have_is_an_error_at_import(files: dict[str, str], given: str) -> None:
    files["take"] = a_script("pending", "resent, owner")
    constants = {"token": 1} if given == "owner" else {}

    with pytest.raises(ValueError, match=r"take\.lua: its builder gives token, which its head does not name"):
        builder("take", given, **constants)


def test_a_call_says_each_name_once_and_no_other(files: dict[str, str]) -> None:
    files["take"] = a_script("pending", "resent, owner, token")
    build = builder("take", "owner token")

    with pytest.raises(TypeError, match="token"):
        build(KEYS, same, owner="o")
    with pytest.raises(TypeError, match="tokens"):
        build(KEYS, same, owner="o", token="t", tokens="t")
    with pytest.raises(TypeError, match="positional"):
        build(KEYS, same, "o", "t")


def test_what_takes_the_rest_is_given_only_where_the_head_has_such(files: dict[str, str]) -> None:
    files["take"] = a_script("pending, task...", "owner, id...")

    command = builder("take", "owner")(KEYS, same, ["a", "b"], ("c", "d"), owner="o")

    assert (command.keys, command.args) == ([KEYS.pending, "a", "b"], ["o", "c", "d"])
    assert command.resend_flag == -1


def test_what_is_in_an_item_is_given_by_name(files: dict[str, str]) -> None:
    files["take"] = a_script("pending", "item...", "-- item:    id, read, expiry\n")
    item = item_of("take")

    assert item(expiry=3, id="a", read="r") == ("a", "r", 3)
    with pytest.raises(TypeError, match="id, read, expiry"):
        item(id="a", read="r")
    with pytest.raises(TypeError, match="id, read, expiry"):
        item(id="a", read="r", expiry=3, at=4)


def test_a_getter_reads_an_item_from_an_object_in_the_order_of_the_head() -> None:
    item = Item(load("enqueue"), ("message", "id", "identity"))

    class Task:
        id, encoded, identity = "a", b"m", 7

    assert item.getter(message="encoded")(Task()) == (b"m", "a", 7)
    with pytest.raises(ValueError, match=r"no item of it has text"):
        item.getter(text="encoded")


def test_an_item_that_is_cut_is_in_two_parts_at_a_name() -> None:
    first, second = Item(load("enqueue"), ("id", "message", "start", "group")).cut("start")

    assert (first.names, second.names) == (("id", "message"), ("start", "group"))


def test_a_head_says_nothing_that_nobody_reads(files: dict[str, str]) -> None:
    """A line that is misspelt, such as `flgas:`, would otherwise be a flag that is not set."""
    files["take"] = a_script("pending", "owner", "-- flgas:   allow-oom\n")

    with pytest.raises(ValueError, match=r"take\.lua: its head has a line flgas, which means nothing"):
        builder("take", "owner")


def test_a_script_reads_only_items_that_its_head_describes(files: dict[str, str]) -> None:
    files["take"] = a_script("pending", "owner, item...") + "-- @read item arg\n"

    with pytest.raises(ValueError, match=r"take\.lua reads item, and its head does not say what is in one"):
        builder("take", "owner")


def test_a_script_counts_its_words_against_the_head() -> None:
    enqueue, dequeue = load("enqueue"), load("dequeue")

    enqueue.check(5, 1 + 2 * len(enqueue.items["item"]))
    with pytest.raises(ValueError, match="it was given 3"):
        enqueue.check(5, 3)
    with pytest.raises(ValueError, match=r"dequeue\.lua takes keys pending, paused"):
        dequeue.check(4, 7)


def test_a_word_of_a_script_is_what_python_means_by_it() -> None:
    """A script says names, and what it sends are their values: a letter or a number cannot mean two things."""
    text = put_in("take", "if verb == Verb.DONE then reply = Enqueued.ALREADY_THERE end")

    assert text == f"if verb == '{Verb.DONE.value}' then reply = {Enqueued.ALREADY_THERE.value} end"


@pytest.mark.parametrize("word", ["Enqueued.LOST", "Enqueue.CREATED"])
def test_a_word_that_is_not_known_is_an_error_at_import(files: dict[str, str], word: str) -> None:
    files["take"] = a_script("pending", "owner") + f"return {word}\n"

    with pytest.raises(ValueError, match=rf"take\.lua says {word}, which is not among the words"):
        builder("take", "owner")


def test_a_script_that_is_changed_in_its_place_is_sent_as_it_is_now(files: dict[str, str]) -> None:
    """Planted bugs and mutants change the script; a builder that kept its SHA-1 sent the sound one."""
    files["take"] = a_script("pending", "owner")
    build = builder("take", "owner")
    script = build(KEYS, same, owner="o").script

    object.__setattr__(script, "sha", "0" * 40)
    command = build(KEYS, same, owner="o")

    assert command.first_wire is not None
    assert (command.first_wire[1], command.wire(full=False, resent=False)[1]) == ("0" * 40, "0" * 40)
