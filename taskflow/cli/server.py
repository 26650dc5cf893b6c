"""`taskflow server`: the embedded server or cluster of a directory."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from taskflow import embedded
from taskflow.embedded import EmbeddedConfig, NodeStatus, ServerStatus

from ..errors import InvalidBrokerURL
from .options import Target, here, target_options
from .output import as_json, clean, print_json, print_table

_HEADERS = ("NODE", "ROLE", "ADDRESS", "PID", "STATE", "SLOTS", "ID", "REPLICA OF")


@click.group("server")
def server() -> None:
    """Start, stop and look at the embedded server or local cluster."""


def _directory_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--dir",
        "directory",
        type=click.Path(file_okay=False, path_type=Path),
        help="The data directory.  [default: that of the app's embedded server with -A, else of this project's]",
    )(target_options(command))


@server.command()
@click.option(
    "--nodes",
    type=int,
    metavar="1|6",
    help="One server, or a cluster of 3 masters and 3 replicas.  [default: what the directory holds, else 1]",
)
@click.option(
    "--port",
    type=int,
    help="The first port; a cluster uses six, and six more 10000 higher.  "
    "[default: as before; else free ports for a cluster, a unix socket for one server]",
)
@_directory_option
@click.option("--no-password", is_flag=True, help="Let every program of this machine in.")
def start(
    target: Target, nodes: int | None, port: int | None, directory: Path | None, no_password: bool
) -> None:
    """Start the servers that do not run, and print how to connect.

    They run until `taskflow server stop`. Nodes that were killed are started again.
    """
    given = _config(target, directory)
    config = EmbeddedConfig(
        given.directory,
        nodes=nodes or given.nodes,
        port=port or given.port,
        password=given.password and not no_password,
    )
    before = {node.pid for node in embedded.status(config).nodes}
    broker = embedded.ensure(config)
    found = embedded.status(config)
    started = sum(node.pid not in before for node in found.nodes)
    click.echo(f"{_summary(found)}, {f'{started} started now' if started else 'already running'}")
    _print_nodes(found.nodes)
    _print_advice(broker, directory)


@server.command()
@_directory_option
def stop(target: Target, directory: Path | None) -> None:
    """Stop the servers; their data stays."""
    count = embedded.stop(_config(target, directory))
    click.echo(f"{count} stopped" if count else "nothing was running")


@server.command()
@_directory_option
@as_json
def status(target: Target, directory: Path | None, as_json: bool) -> None:
    """Show each node, running or not. The exit code is 1 when none runs."""
    found = embedded.status(_config(target, directory))
    if as_json:
        print_json({**asdict(found), "directory": str(found.directory)})
    else:
        click.echo(_summary(found) + (f": {clean(found.problem)}" if found.problem else ", ready"))
        _print_nodes(found.nodes)
    click.get_current_context().exit(0 if found.running else 1)


@server.command()
@_directory_option
def url(target: Target, directory: Path | None) -> None:
    """Print the broker URL, with its password."""
    click.echo(embedded.url(_config(target, directory)))


def _config(target: Target, directory: Path | None) -> EmbeddedConfig:
    """Whose server is meant: that of the directory, else the embedded one of the app or of `-b`, else the project's."""
    if directory is not None:
        return EmbeddedConfig(directory)
    if target.app is None and target.broker is None:
        return EmbeddedConfig(here().directory)
    try:
        return embedded.parse_url(target.broker_url)
    except InvalidBrokerURL:
        raise click.UsageError(
            "the broker of the app, or of -b, is no embedded server, so there is nothing to start or stop here"
        ) from None


def _summary(found: ServerStatus) -> str:
    count = len(found.nodes)
    kind = "no server" if not count else "one server" if count == 1 else f"a cluster of {count} nodes"
    return f"{kind} in {clean(str(found.directory))}"


def _print_advice(broker: str, directory: Path | None) -> None:
    option = "" if directory is None else f" --dir {shlex.quote(str(directory))}"
    path = "" if directory is None else quote(str(directory.expanduser().absolute()))
    click.echo(f"broker: {re.sub(r'//:[^@]*@', '//:***@', broker)}")
    given = f', broker="embedded://{path}"' if path else ""
    click.echo(f'  in Python:      TaskFlow("name"{given})')
    click.echo(f'  for commands:   export TASKFLOW_BROKER="$(taskflow server url{option})"')
    click.echo(f"  to stop it:     taskflow server stop{option}")


def _print_nodes(nodes: Sequence[NodeStatus]) -> None:
    if not nodes:
        return
    number = {node.node_id: str(node.index) for node in nodes if node.node_id}
    rows = [_row(node, number.get(node.master_id, "")) for node in nodes]
    # Columns that say nothing, as those of a cluster for one server, are left out.
    columns = [column for column in range(len(_HEADERS)) if any(row[column] for row in rows)]
    headers = [_HEADERS[column] for column in columns]
    print_table(headers, [[row[column] for column in columns] for row in rows])


def _row(node: NodeStatus, master: str) -> tuple[str, ...]:
    pid = str(node.pid) if node.pid is not None else "-"
    return (str(node.index), node.role, node.address, pid, node.answer, node.slots, node.node_id[:8], master)
