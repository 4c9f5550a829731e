"""Fixtures: OpenWrt's programs in folders of their own. Skipped where they are not found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import Rpcd, Ubusd, Uhttpd, missing


def _need(*programs: str) -> None:
    reason = missing(*programs)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def ubusd(tmp_path: Path) -> Iterator[Ubusd]:
    """A bus of the test's own."""
    _need("ubusd", "ubus")
    with Ubusd(tmp_path) as bus:
        yield bus


@pytest.fixture(scope="session")
def web_programs() -> None:
    """rpcd and uhttpd can run here."""
    _need("rpcd", "uhttpd", "unshare")


@pytest.fixture
def web(ubusd: Ubusd, web_programs: None, tmp_path: Path) -> Iterator[Uhttpd]:
    """uhttpd and rpcd on that bus, logged in with all rights: what a browser with LuCI has."""
    with Rpcd(tmp_path, ubusd.socket), Uhttpd(tmp_path, ubusd.socket) as server:
        server.login()
        yield server
