"""A real browser: Debian's Chromium, without a window."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PROGRAMS = ("chromium", "chromedriver")
PACKAGES = ("chromium", "chromium-driver")


def programs() -> tuple[str, str]:
    """Where both are. In CI they are installed, or the test fails; on a laptop without them it is skipped."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    in_ci = os.environ.get("CI") == "true"
    if missing and in_ci and os.geteuid() == 0:
        apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
        subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL, timeout=600)
        subprocess.run(
            [*apt, "install", "-y", "--no-install-recommends", *PACKAGES],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=900,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        reason = f"there is no {' and no '.join(missing)}; on Debian: apt-get install {' '.join(PACKAGES)}"
        (pytest.fail if in_ci else pytest.skip)(reason)
    chromium, driver = (shutil.which(name) for name in PROGRAMS)
    assert chromium is not None
    assert driver is not None
    return chromium, driver


@contextlib.contextmanager
def browser(*, dark: bool = False) -> Iterator[Chrome]:
    """A browser with a profile of its own.

    Args:
        dark: whether it prefers dark pages.
    """
    chromium, driver = programs()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    arguments = ["--headless=new", "--disable-dev-shm-usage", "--window-size=1500,1000", "--disable-gpu"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    if dark:
        arguments.append("--force-dark-mode")
    for argument in arguments:
        options.add_argument(argument)
    found = webdriver.Chrome(options=options, service=Service(driver))
    try:
        found.implicitly_wait(20)
        yield found
    finally:
        found.quit()
