"""Fixtures: a router with LuCI, and people at browsers. Skipped where LUCI_ROOT, Chromium or Playwright are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import luci_lab
import pytest
from luci_lab import CONFIG, Person, Router


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """Playwright, whose browser is the one that is installed: nothing is fetched."""
    api = pytest.importorskip("playwright.sync_api")
    reason = luci_lab.missing()
    if reason:
        pytest.skip(reason)
    with api.sync_playwright() as driver:
        yield driver


@pytest.fixture
def start(playwright: Any, tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Start a router with a text as the configuration of nfa. `{source}` in it is netifyd's socket."""
    with ExitStack() as stack:

        def make(config: str, **more: Any) -> Router:
            config = config.replace("{source}", f"unix://{tmp_path}/netifyd.sock")
            return stack.enter_context(Router(tmp_path, {CONFIG: config}, **more))

        yield make


@pytest.fixture
def sit_down(playwright: Any) -> Iterator[Callable[..., Person]]:
    """A person at a browser, logged in: with all rights, or as the user `viewer`, who may look only."""
    with ExitStack() as stack:

        def make(router: Router, user: str = "root", **more: Any) -> Person:
            person = Person(playwright, router, **more)
            stack.callback(person.close)
            person.log_in(user)
            return person

        yield make
