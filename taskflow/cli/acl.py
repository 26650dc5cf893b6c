"""`taskflow acl`: users for the server that have no more rights than they need."""

from __future__ import annotations

import secrets

import click

from ..broker.acl import ROLES

_NAMES = [role.name for role in ROLES]


@click.command("acl", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("roles", nargs=-1, type=click.Choice(_NAMES), metavar=f"[{'|'.join(_NAMES)}]...")
@click.option("--file", "as_file", is_flag=True, help="Print lines for the server's aclfile.")
@click.option("--passwords", is_flag=True, help="Put a new random password into each line.")
def acl(roles: tuple[str, ...], as_file: bool, passwords: bool) -> None:
    """Print users for the server, each with the rights of its part and no more.

    A producer enqueues and waits for results, a worker runs tasks, a viewer looks and changes nothing, an
    operator does what `taskflow queue` and `taskflow task` do. Without --passwords nobody can log in as such a
    user until it is given a password. Every node of a cluster needs the same users.
    """
    for role in ROLES:
        if roles and role.name not in roles:
            continue
        password = secrets.token_urlsafe(24) if passwords else None
        click.echo(role.line(password) if as_file else role.setuser(password))
