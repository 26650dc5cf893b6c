"""The pages in a real browser, with the admin's own scripts: somebody finds what has failed, and lets it run again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from taskflow.states import State
from tests.contrib.django.admin.chromium import browser
from tests.contrib.django.admin.site import PROJECT, Site
from tests.contrib.django.admin.test_pages import TASKS, page_of
from tests.contrib.web import STRICT
from tests.inspector.stored import Stored
from tests.inspector.test_matching import archive
from tests.servers import wait_until
from tests.workers import WorkerProcess

pytestmark = pytest.mark.xdist_group("django_admin")
"""One process of pytest-xdist: they share the site."""

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

SCREENSHOTS = os.environ.get("TASKFLOW_SCREENSHOTS")
"""A folder for pictures of the pages, to be looked at."""


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_somebody_logs_in_filters_runs_what_has_failed_and_sees_it_complete(
    site: Site, stored: Stored
) -> None:
    for number in range(3):
        message = stored.message(
            f"paid-{number}",
            type="shop.tasks.charge",
            payload=b'{"card":"4111"}',
            error_msg="declined",
            retention=3600,
        )
        archive(stored, f"paid-{number}", name="shop.tasks.charge")
        stored.raw.hset(stored.keys.task(f"paid-{number}"), "msg", message.encode())
    archive(stored, "other", error="Timeout", text="no answer")
    with browser() as chrome:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.select import Select

        def find(selector: str) -> WebElement:
            """What the page has, or will have: each step waits for what only the page has that it leads to."""
            return chrome.find_element(By.CSS_SELECTOR, selector)

        def picture(name: str) -> None:
            if SCREENSHOTS:
                chrome.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))

        chrome.get(f"{site.url}{TASKS}?queue={stored.queue}")
        find("input[name=username]").send_keys("admin")
        find("input[name=password]").send_keys("secret")
        find("#login-form input[type=submit]").click()
        find("#changelist-filter a[href*='state=archived']").click()
        find("#changelist-filter li.selected a[href*='state=archived']")
        find("input[name=error]").send_keys("PaymentError")
        find(".taskflow-filter input[type=submit]").click()
        find("input[name=error][value=PaymentError]")
        assert len(chrome.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")) == 3
        # The admin's script is there.
        wait_until(lambda: find(".action-counter").text == "0 of 3 selected", description="it counts")
        picture("tasks")

        find("#action-toggle").click()
        assert find(".action-counter").text == "3 of 3 selected"
        find(".actions .question a").click()
        assert "on every page" in find(".actions .all").text
        Select(find("select[name=action]")).select_by_visible_text("Run now")
        find("button[name=index]").click()
        find("input[name=confirmed]")
        assert find("#content h1").text == "Run now: 3 tasks?"
        picture("question")
        find("#content input[type=submit]").click()
        said = find(".messagelist .success").text
        assert said == "Pending, to run as soon as a worker is free: 3 tasks"
        picture("done")

        environment = STRICT | site.environment
        with WorkerProcess(
            "admin_settings", directory=PROJECT, environment=environment, queues={stored.queue: 1}
        ):
            wait_until(
                lambda: [stored.state(f"paid-{number}") for number in range(3)] == [State.COMPLETED] * 3,
                description="the tasks are completed",
            )
        chrome.get(site.url + page_of("task", stored.queue, "paid-0"))
        assert find(".taskflow-facts .taskflow-state").text == "completed"
        picture("task")
        errors = [entry for entry in chrome.get_log("browser") if "favicon" not in entry["message"]]
        assert errors == []
