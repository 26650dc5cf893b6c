"""`taskflow doctor`: what is wrong with the servers and the queues, and `--fix`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..inspector import Inspector
from ..inspector.doctor import Diagnosis, Finding, Severity
from .inspecting import inspects
from .output import as_json, clean, number, print_json

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


@click.command("doctor")
@inspects
@click.option(
    "-q", "--queue", "queues", multiple=True, metavar="QUEUE", help="Only this queue; may be repeated."
)
@click.option("--fix", is_flag=True, help="Put right what can be.")
@as_json
def doctor(inspector: Inspector, queues: Sequence[str], fix: bool, as_json: bool) -> None:
    """Find what is wrong with the servers and with what is stored in the queues.

    Changes nothing without --fix. Exit code 0: all is well, but for notes perhaps; 1: something is wrong; 2: it could not
    be examined.
    """
    found = inspector.examine(queues, fix=fix)
    if as_json:
        print_json(diagnosis_view(found))
    else:
        _print(found, fix=fix)
    if not found.is_clean:
        click.get_current_context().exit(1)


def diagnosis_view(found: Diagnosis) -> dict[str, object]:
    """A diagnosis, for JSON."""
    return {
        "clean": found.is_clean,
        "findings": [_view(finding) for finding in found.findings],
        "fixes": [{"where": fix.where, "what": fix.what} for fix in found.fixes],
        "queues": list(found.queues),
        "nodes": list(found.nodes),
    }


def _view(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "where": finding.where,
        "what": finding.what,
        "remedy": finding.remedy,
        "count": finding.count,
        "examples": list(finding.examples),
        "fixable": finding.is_fixable,
    }


def _print(found: Diagnosis, *, fix: bool) -> None:
    for done in found.fixes:
        click.echo(
            click.style("fixed", fg="green", bold=True) + f"    {clean(done.where)}: {clean(done.what)}"
        )
    for finding in found.findings:
        label = click.style(finding.severity.value.ljust(8), fg=_COLOURS[finding.severity], bold=True)
        click.echo(f"{label} {clean(finding.where)}: {clean(_sentence(finding))}  [{finding.code}]")
        click.echo(f"         {clean(finding.remedy)}")
    looked = f"{_some(len(found.queues), 'queue')} on {_some(len(found.nodes), 'node')}"
    wrong = [finding for finding in found.findings if finding.severity is not Severity.NOTE]
    if not wrong:
        click.echo(f"All is well: {looked}.")
        return
    fixable = sum(finding.is_fixable for finding in wrong)
    hint = f"; --fix puts {number(fixable)} of them right" if fixable and not fix else ""
    click.echo(f"{_some(len(wrong), 'finding')}: {looked}{hint}.")


def _sentence(finding: Finding) -> str:
    if not finding.examples:
        return finding.what
    more = ", …" if finding.count > len(finding.examples) else ""
    return f"{finding.what}: {number(finding.count)} ({', '.join(finding.examples)}{more})"


def _some(count: int, noun: str) -> str:
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"
