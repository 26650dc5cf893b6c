"""What Django's own tests ask of a backend, this one does; which do not apply is listed with the reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import django
import pytest

from tests.contrib.django.upstream import source
from tests.contrib.django.upstream.listed import LISTED
from tests.servers import Server

if django.VERSION < (6,):
    pytest.skip("django.tasks is a part of Django 6: tox -e django60, django61", allow_module_level=True)

pytestmark = [
    # One process of pytest-xdist: what it fetches and runs is for all of them.
    pytest.mark.xdist_group("upstream"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def said(valkey: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is wrong with each of Django's tests, "" for nothing."""
    folder = tmp_path_factory.mktemp("upstream")
    source.extract(folder)
    output = folder / "said.json"
    done = subprocess.run(
        [sys.executable, Path(source.__file__).with_name("run.py"), folder, valkey.url, output],
        env={**os.environ, "PYTHONPATH": str(source.ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert output.exists(), done.stdout + done.stderr
    found: dict[str, str] = json.loads(output.read_text())
    return found


def test_all_of_djangos_tests_that_apply_pass(said: dict[str, str]) -> None:
    """A task that was written for Django's own backends finds here what it has there."""
    failed = {name: wrong for name, wrong in said.items() if wrong and name not in LISTED}

    assert not failed, "\n".join(f"{name}\n{wrong}" for name, wrong in failed.items())
    assert len(said) > 60


def test_what_is_listed_as_not_applying_fails(said: dict[str, str]) -> None:
    """A list that holds more than it must hides what has broken."""
    passed = sorted(name for name in LISTED if name in said and not said[name])

    assert passed == []


def test_each_name_in_the_list_is_a_test_of_djangos(said: dict[str, str]) -> None:
    """A name that is misspelt, or gone, explains nothing."""
    assert sorted(LISTED.keys() - said.keys()) == []
