"""docs/deployment.md and its files: all of them can be read, their numbers fit what taskflow does, and their commands run.

What starts them elsewhere (systemd, Docker, Kubernetes) is not here: the page says so.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskflow.broker.keys import queue_keys
from taskflow.cli.main import main
from taskflow.runner.process import END_SECONDS
from taskflow.worker import stopping
from taskflow.worker.children.group import KILL_SECONDS
from taskflow.worker.config import DEFAULT_CONCURRENCY, DEFAULT_GRACE
from taskflow.worker.descriptors import BASE, PER_CHILD, PER_NODE
from taskflow.worker.health.check import STALE_SECONDS
from taskflow.worker.taking.places import MOST
from taskflow.worker.timings import TIMINGS
from tests.contrib.web import STRICT, Web
from tests.servers import Server, free_port, wait_until
from tests.test_examples_docs import parse

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "deployment.md"
FILES = ROOT / "examples" / "deployment"
BIN = Path(sys.executable).parent

STOP = (
    stopping.STOP_SECONDS
    + END_SECONDS
    + KILL_SECONDS
    + stopping.FLUSH_SECONDS
    + stopping.DELIVERY_SECONDS
    + stopping.STOP_SECONDS
)
"""Seconds that a stop takes at most beside the grace."""


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FILES / "deploy" / name)
    return parser


def dockerfile() -> list[tuple[str, str]]:
    """Its instructions, each with what follows."""
    text = re.sub(r"(?m)^#.*\n", "", (FILES / "Dockerfile").read_text()).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line]


def instruction(name: str) -> str:
    (found,) = [rest for word, rest in dockerfile() if word == name]
    return found


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FILES / "compose.yaml").read_text())
    return found


def manifests() -> list[dict[str, Any]]:
    return [
        one
        for file in sorted((FILES / "deploy").glob("*.yaml"))
        for one in yaml.safe_load_all(file.read_text())
    ]


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest("Deployment", name)["spec"]["template"]["spec"]
    return spec


def worker_commands() -> dict[str, list[str]]:
    """The command of each file that starts a worker, without the program's path."""
    (container,) = pod("shop-worker")["containers"]
    systemd = shlex.split(unit("shop-worker.service")["Service"]["ExecStart"])
    return {
        "systemd": ["taskflow", *systemd[1:]],
        "Dockerfile": json.loads(instruction("CMD")),
        "kubernetes": container["args"],
    }


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def seconds(text: str) -> float:
    """Of what compose calls a duration."""
    return float(text.removesuffix("s"))


# --- what is written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shop-worker.service", "shop-web.service"])
def test_systemd_can_read_the_units(name: str, tmp_path: Path) -> None:
    """All of it, but for the programs' own place."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("systemd is not installed: no `systemd-analyze` on the PATH")
    text = (FILES / "deploy" / name).read_text()
    (tmp_path / name).write_text(text.replace("/srv/shop/.venv/bin/", f"{BIN}/"))

    done = subprocess.run(
        [str(analyze), "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_units_protect_the_machine() -> None:
    for name in ("shop-worker.service", "shop-web.service"):
        service = unit(name)["Service"]
        assert service["User"] == "shop"
        assert service["ProtectSystem"] == "strict"
        assert service["NoNewPrivileges"] == "yes"
        assert service["CapabilityBoundingSet"] == ""


def test_a_worker_is_killed_by_nobody_before_its_stop_is_over() -> None:
    """The grace, and what the stop itself takes at most: less, and what still runs is not handed back but left to its lease."""
    assert {float(option(command, "--grace")) for command in worker_commands().values()} == {DEFAULT_GRACE}
    service = unit("shop-worker.service")["Service"]

    assert float(service["TimeoutStopSec"]) >= DEFAULT_GRACE + STOP
    assert seconds(compose()["services"]["worker"]["stop_grace_period"]) >= DEFAULT_GRACE + STOP
    assert pod("shop-worker")["terminationGracePeriodSeconds"] >= DEFAULT_GRACE + STOP
    assert (service["Type"], service["KillMode"], service["KillSignal"]) == ("notify", "mixed", "SIGTERM")
    assert service["OOMPolicy"] == "continue"


def test_the_page_says_how_long_each_part_of_a_stop_takes() -> None:
    table = PAGE.read_text().partition("## How long a stop takes")[2].partition("## What a probe says")[0]
    parts = re.findall(r"(?m)^\| [^|]+ \| (\d+) s \|$", table)

    assert [float(part) for part in parts] == [
        stopping.STOP_SECONDS,
        END_SECONDS + KILL_SECONDS,
        stopping.FLUSH_SECONDS,
        stopping.DELIVERY_SECONDS,
        stopping.STOP_SECONDS,
    ]
    assert f"`--grace` and {STOP:g} seconds" in " ".join(table.split())


def test_a_worker_is_started_again_only_after_it_had_time_to_mend_itself() -> None:
    """A loop that stands still is started anew, a child that cannot be started is tried again: nothing is lost by that."""
    (container,) = pod("shop-worker")["containers"]
    live = container["livenessProbe"]

    assert live["periodSeconds"] * live["failureThreshold"] > 2 * TIMINGS.still + TIMINGS.longest_restart
    assert float(unit("shop-worker.service")["Service"]["WatchdogSec"]) >= 2 * TIMINGS.still
    health = re.search(
        r"--interval=(\d+)s --timeout=(\d+)s --start-period=\d+s --retries=(\d+)", str(dockerfile())
    )
    assert health is not None
    interval, patience, retries = map(int, health.groups())
    assert interval > patience
    assert interval * retries > 2 * TIMINGS.still + TIMINGS.longest_restart
    said = " ".join(PAGE.read_text().split())
    assert f"has stood still for {STALE_SECONDS:g} s" in said
    assert f"growing pauses of up to {TIMINGS.longest_restart:g} s" in said
    assert f"patience for {live['periodSeconds'] * live['failureThreshold']} seconds" in said


def test_a_probe_asks_where_the_worker_answers() -> None:
    (container,) = pod("shop-worker")["containers"]
    (port,) = container["ports"]
    command = container["args"]

    assert int(option(command, "--health-port")) == port["containerPort"]
    assert option(command, "--health-host") == "0.0.0.0"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert "lifecycle" not in container


def test_every_command_of_a_worker_is_one() -> None:
    for command in worker_commands().values():
        assert command[0] == "taskflow"
        parse(main, command[1:])
        assert option(command, "-A") == "shop"
        assert int(option(command, "-c")) == DEFAULT_CONCURRENCY


def test_the_limit_of_open_files_is_enough_for_a_worker_of_all_queues_on_six_nodes() -> None:
    limit = int(unit("shop-worker.service")["Service"]["LimitNOFILE"])

    assert limit > BASE + 2 * PER_CHILD * 64 + PER_NODE * 7 + MOST


def test_the_image_has_no_root_and_gives_signals_to_the_worker() -> None:
    """A command that is no list is run by a shell, which keeps them."""
    assert instruction("USER") == "10001"
    assert json.loads(instruction("ENTRYPOINT")) == ["tini", "--"]
    assert isinstance(json.loads(instruction("CMD")), list)
    health = instruction("HEALTHCHECK").partition("CMD")[2]
    assert json.loads(health) == ["taskflow", "worker", "--check"]
    assert any(word == "RUN" and "--yes tini" in rest for word, rest in dockerfile())
    assert {
        one["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
        for one in manifests()
        if one["kind"] == "Deployment"
    } == {10001}


def test_compose_starts_a_broker_that_throws_nothing_away_and_waits_for_it() -> None:
    services = compose()["services"]

    assert services["valkey"]["command"][1:] == ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    for name in ("worker", "web"):
        assert services[name]["depends_on"] == {"valkey": {"condition": "service_healthy"}}
        assert services[name]["environment"] == {"TASKFLOW_BROKER": "redis://valkey:6379"}
    assert set(services) == {"valkey", "worker", "web"}
    assert "healthcheck" in services["web"], "the image's own is the worker's"
    assert all(
        port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", ())
    )


def test_the_manifests_fit_each_other() -> None:
    """What selects pods selects those that are there, and every volume that is mounted is one."""
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in manifests()
        if one["kind"] == "Deployment"
    }
    assert set(labels) == {"shop-worker", "shop-web"}
    for name, found in labels.items():
        assert manifest("Deployment", name)["spec"]["selector"]["matchLabels"] == found
        budget = manifest("PodDisruptionBudget", name)["spec"]
        assert budget["selector"]["matchLabels"] == found
        assert budget["maxUnavailable"] < manifest("Deployment", name)["spec"]["replicas"]
        volumes = {volume["name"] for volume in pod(name)["volumes"]}
        (container,) = pod(name)["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert manifest("Service", "shop-web")["spec"]["selector"] == labels["shop-web"]
    web = pod("shop-web")
    assert web["terminationGracePeriodSeconds"] >= 5 + 30 + 5


def test_the_number_of_workers_follows_the_list_that_the_queue_is() -> None:
    scaled = manifest("ScaledObject", "shop-worker")["spec"]
    (trigger,) = scaled["triggers"]

    assert trigger["metadata"]["listName"] == queue_keys("shop").pending
    assert scaled["scaleTargetRef"] == {"name": "shop-worker"}
    assert scaled["cooldownPeriod"] > DEFAULT_GRACE + STOP


def test_the_page_shows_the_files_as_they_are() -> None:
    page = PAGE.read_text()
    for name in (
        *(
            "Dockerfile",
            "compose.yaml",
            "requirements.txt",
            "shop/tasks.py",
            "shop/__init__.py",
            "shop/views.py",
        ),
        *("deploy/shop-worker.service", "deploy/kubernetes.yaml"),
    ):
        assert f"\n{(FILES / name).read_text()}```\n" in page, name
    for name in ("shop-web.service", "kubernetes-web.yaml", "kubernetes-scaling.yaml"):
        assert f"(../examples/deployment/deploy/{name})" in page


# --- what runs ----------------------------------------------------------------------------------------------


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of a file, by the programs of this environment; it gets SIGTERM at the end, and has to end with 0."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_commands_of_the_files_run_a_web_server_and_a_worker_that_are_healthy_and_stop(
    valkey: Server, tmp_path: Path
) -> None:
    """The image's command and its health check, the web server's of the compose file, and the probes of the manifests."""
    project = tmp_path / "shop"
    shutil.copytree(FILES, project, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "run").mkdir(mode=0o700)
    environment = {
        **os.environ,
        **STRICT,
        "TASKFLOW_BROKER": valkey.url,
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
    }
    web_port, health_port = free_port(), free_port()
    worker = [
        str(health_port) if word == "8099" else "127.0.0.1" if word == "0.0.0.0" else word
        for word in json.loads(instruction("CMD"))
    ]
    web = [
        word.replace("0.0.0.0:8000", f"127.0.0.1:{web_port}")
        for word in compose()["services"]["web"]["command"]
    ]
    check = json.loads(instruction("HEALTHCHECK").partition("CMD")[2])

    with (
        running(worker, environment, project / "worker.log"),
        running(web, environment, project / "web.log"),
    ):
        wait_until(
            lambda: answers(f"http://127.0.0.1:{health_port}/healthz"),
            description="the worker answers its probe",
        )
        wait_until(
            lambda: answers(f"http://127.0.0.1:{web_port}/healthz"), description="the web server answers"
        )
        said = subprocess.run(
            [str(BIN / check[0]), *check[1:]], env=environment, capture_output=True, text=True, timeout=30
        )
        assert said.returncode == 0, said.stdout + said.stderr
        pages = Web(f"http://127.0.0.1:{web_port}")
        status, enqueued = pages.post("/count", text="one two three")
        assert status == 202
        wait_until(
            lambda: pages.get(enqueued["result"]) == (200, {"words": 3, "state": "completed"}),
            description="the page shows the result",
        )
    assert "Stopped after" in (project / "worker.log").read_text()
    for log in ("worker.log", "web.log"):
        assert "Traceback" not in (project / log).read_text()
