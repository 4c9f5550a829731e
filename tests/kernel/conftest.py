"""Fixtures: a private network namespace each, with a daemon and a netifyd to play with. Skipped where there can be none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_lab import Lab, Namespace, missing, private_namespace


@pytest.fixture(scope="session")
def kernel() -> None:
    """Namespaces, nft and ipset work here."""
    reason = missing()
    if reason and os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(f"CI must not pass without the kernel tests: {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture
def namespace(kernel: None) -> Iterator[Namespace]:
    with private_namespace() as made:
        yield made


@pytest.fixture
def lab(namespace: Namespace, tmp_path: Path) -> Iterator[Lab]:
    """A namespace, a netifyd and a folder. All daemons of it end with the test."""
    made = Lab(namespace, tmp_path)
    try:
        yield made
    finally:
        made.close()
