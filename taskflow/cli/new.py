"""`taskflow new`: a project that runs, with its tests and what it takes to deploy it."""

from __future__ import annotations

from pathlib import Path

import click

from .new_project import KINDS, create


@click.command("new", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name")
@click.option(
    "--django", "kind", flag_value="django", help="A Django project with an app, a model and a task."
)
@click.option("--flask", "kind", flag_value="flask", help="A Flask application, made by a factory.")
@click.option("--fastapi", "kind", flag_value="fastapi", help="A FastAPI application.")
@click.option(
    "--plain", "kind", flag_value="plain", default=True, help="No web framework: a program.  [default]"
)
def new(name: str, kind: str) -> None:
    """Write a project into a new folder NAME of the current directory.

    It has tasks, what enqueues them, tests, a README with the commands, a Dockerfile, a compose file, units for systemd and
    manifests for Kubernetes. Nothing that is there is overwritten.
    """
    folder = create(name, kind, Path.cwd())
    click.echo(f"{folder.name}: {KINDS[kind].title}, with its tests and what deploys it\n")
    click.echo("Next:")
    for line in (f"cd {folder.name}", *KINDS[kind].commands(name)):
        click.echo(f"  {line}")
    click.echo("\nREADME.md says the rest.")
