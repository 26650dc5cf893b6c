"""The stores that come with taskflow, and what is asked of one: a folder, and a real server that speaks S3."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from taskflow.errors import InvalidOption, NotForThisWorker, StoredContentError, StoreError
from taskflow.message.offload import STORED, Offload
from taskflow.stores import FolderStore, S3Store, Store

KEY = "images/%2Eid~1/payload-00ff"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3_url: str) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    found = S3Store(
        "taskflow-tests",
        "some/prefix/",
        endpoint_url=s3_url,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    found._s3().create_bucket(Bucket=found.bucket)
    return found


def test_what_is_put_is_there_until_it_is_deleted(store: Store) -> None:
    with pytest.raises(KeyError):
        store.get(KEY)
    store.put(KEY, b"\0\xff" * 1000)
    assert store.get(KEY) == b"\0\xff" * 1000
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(KeyError):
        store.get(KEY)


def test_many_threads_may_use_it_at_once(store: Store) -> None:
    def use(number: int) -> bytes:
        key = f"images/id-{number % 5}/payload-{number}"
        store.put(key, str(number).encode())
        try:
            return store.get(key)
        finally:
            store.delete(key)  # and with it the folder that others are just making

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(100))) == [str(number).encode() for number in range(100)]


@pytest.mark.parametrize(
    "key", ["../outside", "a/../../outside", "/etc/passwd", "a//b", "", ".hidden", "a/.b", "a\0b"]
)
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    store = FolderStore(tmp_path / "store")
    with pytest.raises(KeyError):
        store.get(key)
    with pytest.raises(KeyError):
        store.put(key, b"x")


def test_files_are_for_their_user_only(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put(KEY, b"secret")
    path = store.folder / KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_fails_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    store = FolderStore(tmp_path / "store")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(KEY, b"x")
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_a_folder_that_depends_on_where_one_stands_is_refused() -> None:
    with pytest.raises(InvalidOption, match="absolute"):
        FolderStore("store")


@pytest.mark.parametrize("wrong", [{"store": object()}, {"over": -1}, {"over": True}, {"over": "1k"}])
def test_what_is_no_store_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    given: dict[str, Any] = {"store": FolderStore(tmp_path), "over": 1, **wrong}
    with pytest.raises(InvalidOption):
        Offload(given["store"], given["over"])


# --- what stands in the place of the bytes ---------------------------------------------------------------------


class Memory:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


def test_small_things_stay_where_they_are() -> None:
    assert Offload(Memory(), 10).put("payload", "images", "id-1", b"x" * 10) is None


@pytest.mark.parametrize("id", ["id-1", ".", "..", "a/b", "ü" * 255, "{", " x", "a%2Fb", "~", "\udcff"])
def test_any_id_and_queue_have_a_key_that_every_store_takes(id: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    offload = Offload(store, 0)
    for queue in ("images", id):
        reference = offload.put("payload", queue, id, b"data")
        assert reference is not None
        assert offload.get(reference, queue, id, 100) == b"data"


def test_it_is_noted_before_it_is_put() -> None:
    """If it were the other way round, what a process puts just before it dies would be there for ever."""
    store = Memory()
    seen: list[tuple[str, str, str, int]] = []
    offload = Offload(store, 0, lambda queue, id, key: seen.append((queue, id, key, len(store.kept))))
    offload.put("payload", "images", "id-1", b"data")
    assert seen == [("images", "id-1", next(iter(store.kept)), 0)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda store, key: store.kept.clear(), "does not have it"),
        (lambda store, key: store.kept.update({key: b"DATA"}), "was changed"),
        (lambda store, key: store.kept.update({key: b"data and more"}), "was changed"),
    ],
)
def test_what_is_missing_or_was_changed_is_found(change: Any, reason: str) -> None:
    store = Memory()
    offload = Offload(store, 0)
    reference = offload.put("payload", "images", "id-1", b"data")
    assert reference is not None
    change(store, next(iter(store.kept)))
    with pytest.raises(StoredContentError, match=reason):
        offload.get(reference, "images", "id-1", 100)


def test_a_reference_is_good_for_its_own_task_only() -> None:
    """Whoever may write messages, and has no key, could have a task read what belongs to another one, or to another program."""
    offload = Offload(Memory(), 0)
    reference = offload.put("payload", "images", "id-1", b"data")
    assert reference is not None
    for queue, id in (("images", "id-2"), ("other", "id-1"), ("images", "id-11")):
        with pytest.raises(StoredContentError, match="another task"):
            offload.get(reference, queue, id, 100)
    with pytest.raises(StoredContentError, match="over the limit of 3"):
        offload.get(reference, "images", "id-1", 3)
    for nonsense in (b"", b"{}", b"[1]", b"\xff", STORED):
        with pytest.raises(StoredContentError, match="no reference"):
            offload.get(nonsense, "images", "id-1", 100)


def test_a_store_that_fails_says_so_with_its_own_error_as_the_cause() -> None:
    class Full(Memory):
        def put(self, key: str, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"Full\).*did not take the payload.*OSError") as caught:
        Offload(Full(), 0).put("payload", "images", "id-1", b"secret")
    assert isinstance(caught.value.__cause__, OSError)
    assert "secret" not in str(caught.value)


def test_without_a_store_the_task_is_left_to_who_has_one() -> None:
    from taskflow.message.content import CONTENT_TYPE_HEADER, JSON
    from taskflow.message.message_crypto import NO_KEYS, MessageCrypto
    from taskflow.message.task_message import TaskMessage

    message = TaskMessage(type="noop", payload=b"{}" + b" " * 100, id="id-1", queue="images")
    closed = MessageCrypto(offload=Offload(Memory(), 50)).close(message)
    assert closed.headers[CONTENT_TYPE_HEADER] == JSON + "; location=store"
    with pytest.raises(NotForThisWorker, match="this app has none"):
        NO_KEYS.check_content(closed, JSON)
