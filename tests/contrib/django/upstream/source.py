"""Django's source distribution: fetched once from the package index, and what of it is needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import django

ROOT = Path(__file__).parents[4]
CACHE = ROOT / "build" / "django"

SHA256 = {
    "6.0.10": "6005d030df924f85088454c18bd35dcf082b058aa355ad3df520d8de9aef9f41",
    "6.1.3": "b5d2d9e35295065d13b1927b3f19a59bd119f737aa6299def14ccca1ae3c8c0d",
}
"""Of the versions in tests/django60.txt and tests/django61.txt."""

ADAPTED = {
    "django.tasks.backends.dummy": "upstream_backends",
    "django.tasks.backends.immediate": "upstream_backends",
}
"""Where the tests get their backends from, and where they get them here: `backends.py` has these under the same names."""


def archive() -> Path:
    """The source distribution of the Django that is installed, checked."""
    version = django.__version__
    path = CACHE / f"django-{version}.tar.gz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "django"]
        # Another environment may do the same at this moment.
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            subprocess.run([*command, "--dest", folder, f"django=={version}"], check=True, timeout=240)
            Path(folder, path.name).replace(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == SHA256.get(version), f"{path.name} has the SHA-256 {found}, and another was expected"
    return path


def extract(to: Path) -> None:
    """Write Django's tests of tasks as the package `tasks`, with the backends replaced."""
    with tarfile.open(archive()) as source:
        for member in source.getmembers():
            parts = Path(member.name).parts
            if parts[1:3] != ("tests", "tasks") or not member.isfile():
                continue
            file = source.extractfile(member)
            assert file is not None
            text = file.read().decode()
            for theirs, here in ADAPTED.items():
                text = text.replace(theirs, here)
            path = to / "tasks" / Path(*parts[3:])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
