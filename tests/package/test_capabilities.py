"""The capabilities that the service keeps (files/etc/capabilities/nfa.json) are those that the daemon needs, each of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_lab import Lab, eventually, missing, private_namespace
from samples import flow

ROOT = Path(__file__).resolve().parents[2]
CAPABILITIES = json.loads((ROOT / "files/etc/capabilities/nfa.json").read_text())
SOMEBODY = 1000
"""Neither root nor the user who runs the tests."""


def limited_to(*names: str) -> list[str]:
    """A command that leaves a program, and what it starts, these capabilities, as procd's ujail does."""
    words = ["-all", *("+" + name.lower().removeprefix("cap_") for name in names)]
    return ["setpriv", f"--bounding-set={','.join(words)}", "--inh-caps=-all", "--no-new-privs"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    reason = missing() or ("" if shutil.which("setpriv") else "needs setpriv")
    if reason:
        pytest.skip(reason)
    with private_namespace() as namespace:
        made = Lab(namespace, tmp_path)
        try:
            yield made
        finally:
            made.close()


def give_away(path: Path, rights: int) -> None:
    """Let a file belong to somebody else."""
    path.chmod(rights)
    try:
        os.chown(path, SOMEBODY, SOMEBODY)
    except OSError as failure:
        pytest.skip(f"needs root, to give files away: {failure.strerror}")


def policy(logs: Path) -> dict[str, object]:
    return {
        "version": 1,
        "actions": {"a": {"criteria": "app == 'youtube';", "targets": ["n", "i", "l"]}},
        "targets": {
            "n": {"target_type": "nftset", "set_name": "n", "type": ["other_addr"], "ttl": 300, "managed": True},
            "i": {"target_type": "ipset", "set_name": "i", "ttl": 300, "managed": True},
            "l": {"target_type": "log", "path": str(logs), "prefix": "x", "interval": 1},
        },
    }


def test_the_sets_are_the_same() -> None:
    """ujail takes each set on its own; one that lacks a capability takes it away."""
    kept = CAPABILITIES["bounding"]
    assert set(CAPABILITIES) == {"bounding", "effective", "ambient", "permitted", "inheritable"}
    assert all(names == kept for names in CAPABILITIES.values())
    assert set(kept) == {"CAP_NET_ADMIN", "CAP_DAC_OVERRIDE"}


@pytest.mark.kernel
def test_sets_logs_and_sockets_work_with_them(lab: Lab) -> None:
    """On a router, netifyd's socket, the log folder and the configuration may belong to others than root."""
    logs = lab.folder / "logs"
    logs.mkdir(mode=0o755)
    lab.netifyd.open()
    daemon = lab.launch(policy(logs), wrapper=limited_to(*CAPABILITIES["bounding"]))
    for path, rights in ((logs, 0o755), (daemon.config, 0o600), (lab.netifyd.path, 0o600)):
        give_away(path, rights)
    lab.netifyd.accept()
    lab.feed(flow(application="netify.youtube", other="198.51.100.1"))
    assert lab.namespace.nft_set("nfa n.v4").keys == {("198.51.100.1",)}
    assert lab.namespace.ipset("i.v4").keys == {"198.51.100.1"}
    eventually(lambda: list(logs.glob("x-*.json")), what="a log file")
    assert not daemon.said("error"), daemon.log
    assert daemon.stop() == 0


@pytest.mark.kernel
def test_without_net_admin_the_daemon_says_so(lab: Lab) -> None:
    daemon = lab.start(policy(lab.folder / "logs"), wrapper=limited_to("CAP_DAC_OVERRIDE"))
    lab.feed(flow(application="netify.youtube"))
    assert daemon.said("error", "not permitted") or daemon.said("Operation not permitted"), daemon.log


@pytest.mark.kernel
def test_without_dac_override_files_of_others_are_out_of_reach(lab: Lab) -> None:
    """Else the capability could be left out."""
    lab.netifyd.open()
    give_away(lab.netifyd.path, 0o600)
    daemon = lab.launch(policy(lab.folder / "logs"), wrapper=limited_to("CAP_NET_ADMIN"))
    eventually(lambda: daemon.said("no connection", "Permission denied"), what="a refused connection")
