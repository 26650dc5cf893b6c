"""What a worker makes of its options: `-Q` with other tools' weights, `-c auto` on a share of a machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskflow.errors import InvalidOption
from taskflow.worker.config import WorkerConfig, check_doubtful, doubtful_queues, parse_queues
from taskflow.worker.cores import usable_cores
from tests.workers import WorkerProcess


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("images:6,default:3", r"-Q default:3: .*write weights as default=3 \(or, .*default:3=1\)"),
        ("default,2", r"-Q 2: .*write weights as images=6,default=3"),
    ],
)
def test_a_queue_that_looks_like_a_weight_is_refused_with_the_right_form(written: str, words: str) -> None:
    """`-Q images:6,default:3`, as Celery's and other tools' users may write it, served two queues that are named so; nobody
    ever puts a task there, and the worker said it was well.
    """
    with pytest.raises(InvalidOption, match=words):
        check_doubtful(config((written,)), ["images", "default"])


@pytest.mark.parametrize("written", [("images:6", "2"), ("images:6=1,2=5",), ("a:b,x-2,v2",)])
def test_a_queue_that_is_really_named_so_is_served(written: tuple[str, ...]) -> None:
    check_doubtful(config(written), ["images:6", "2"] if "=" not in written[0] else [])

    assert parse_queues(written)


@pytest.mark.parametrize(
    ("written", "queues"),
    [
        ('"mail, urgent"=2,low', {"mail, urgent": 2, "low": 1}),
        ('my queue=3, other queue ,"a=b"', {"my queue": 3, "other queue": 1, "a=b": 1}),
        ('"say ""hi"""= 4 ,"6"', {'say "hi"': 4, "6": 1}),
        ('"images:6"', {"images:6": 1}),
        ('"half,low', {'"half': 1, "low": 1}),
        ('x"y",""', None),
    ],
)
def test_a_queue_with_any_name_can_be_served(written: str, queues: dict[str, int] | None) -> None:
    """A queue of Go's with a space or a comma in its name could not: `-Q` is cut at commas, and spaces were refused."""
    if queues is None:
        with pytest.raises(InvalidOption, match="blank"):
            parse_queues((written,))
        return
    check_doubtful(config((written,)), [])
    assert parse_queues((written,)) == queues


def config(written: tuple[str, ...]) -> WorkerConfig:
    return WorkerConfig("shop", parse_queues(written), doubtful_queues(written))


def test_as_many_tasks_as_cores_that_it_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`-c auto` counted the machine's cores: under `taskset` or in a container 64 tasks ran on two of them."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5, 7}, raising=False)

    assert usable_cores(tmp_path) == 4  # no cgroup
    for limit, cores in (
        ("max 100000", 4),
        ("150000 100000", 2),
        ("800000 100000", 4),
        ("1000 100000", 1),
        ("?", 4),
    ):
        (tmp_path / "cpu.max").write_text(limit + "\n")
        assert usable_cores(tmp_path) == cores
    monkeypatch.delattr(os, "sched_getaffinity")
    (tmp_path / "cpu.max").unlink()
    assert usable_cores(tmp_path) == 64


def test_a_worker_does_not_start_with_a_weight_for_a_queue(project: Path) -> None:
    (project / "shop.py").write_text(
        "from taskflow import TaskFlow\napp = TaskFlow('shop', broker='redis://127.0.0.1:1')\n"
    )

    with WorkerProcess("shop", directory=project, ready=False, queues=["images:6", "default:3"]) as worker:
        assert worker.wait() == 2
        worker.wait_for_log("write weights as default=3")
