"""The daemon as a user of its own with one capability (files/etc/capabilities/nfa.json): it has all it needs, and no more."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_lab import Daemon, Lab, eventually, missing, private_namespace
from samples import flow

ROOT = Path(__file__).resolve().parents[2]
CAPABILITIES = json.loads((ROOT / "files/etc/capabilities/nfa.json").read_text())
USER = 7150
"""Neither root nor the user who runs the tests."""

# Others may not look into root's home, where this Python may be: in a namespace of mounts of its own, they may.
_OPEN = """
set -e
for folder do
    shift
    [ "$folder" != -- ] || break
    while [ "$folder" != / ]; do
        if [ -z "$(find "$folder" -maxdepth 0 -perm -001)" ]; then
            kept=$(mktemp -d)
            mount --bind "$folder" "$kept"
            mount -t tmpfs -o mode=755 tmpfs "$folder"
            for inner in $(ls -A "$kept"); do
                if [ -d "$kept/$inner" ]; then mkdir "$folder/$inner"; else touch "$folder/$inner"; fi
                mount --bind "$kept/$inner" "$folder/$inner"
            done
        fi
        folder=$(dirname "$folder")
    done
done
exec "$@"
"""


def unprivileged(*names: str) -> list[str]:
    """A command that runs a program as a user with these capabilities, as procd's ujail does."""
    words = ",".join(["-all", *("+" + name.lower().removeprefix("cap_") for name in names)])
    needed = dict.fromkeys([sys.base_prefix, sys.prefix, str(ROOT)])
    return [
        *("unshare", "--mount", "sh", "-c", _OPEN, "sh", *needed, "--"),
        *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps={words}", f"--ambient-caps={words}", f"--bounding-set={words}"),
    ]


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab whose folder belongs to the user: pytest's own folders are closed to others."""
    reason = missing() or ("" if shutil.which("setpriv") else "needs setpriv")
    if reason or os.geteuid() != 0:
        pytest.skip(reason or "needs root, to become another user")
    folder = Path(tempfile.mkdtemp(prefix="nfa-user-"))
    os.chown(folder, USER, USER)
    folder.chmod(0o755)
    with private_namespace() as namespace:
        made = Lab(namespace, folder)
        try:
            yield made
        finally:
            made.close()
            shutil.rmtree(folder)


def config(folder: Path, **more: object) -> dict[str, object]:
    targets = {
        "n": {"target_type": "nftset", "set_name": "n", "type": ["other_addr"], "ttl": 300, "managed": True},
        "i": {"target_type": "ipset", "set_name": "i", "ttl": 300, "managed": True},
        "l": {"target_type": "log", "path": str(folder / "logs"), "prefix": "x", "interval": 1},
        "m": {"target_type": "ctmark", "mark": "0x100", "mask": "0x100"},
    }
    return {
        "version": 1,
        "actions": {"a": {"criteria": "app == 'youtube';", "targets": list(targets)} | more},
        "targets": targets,
    }


def start(lab: Lab, policy: dict[str, object]) -> Daemon:
    """Start the daemon and connect it; netifyd's socket is for the daemon's group."""
    lab.netifyd.open()
    os.chown(lab.netifyd.path, 0, USER)
    lab.netifyd.path.chmod(0o775)
    lab.folder.joinpath("nfa.json").touch()
    daemon = lab.launch(policy, wrapper=unprivileged(*CAPABILITIES["bounding"]))
    lab.netifyd.accept()
    return daemon


def test_the_sets_are_the_same() -> None:
    """ujail takes each set on its own; one that lacks a capability takes it away."""
    kept = CAPABILITIES["bounding"]
    assert set(CAPABILITIES) == {"bounding", "effective", "ambient", "permitted", "inheritable"}
    assert all(names == kept for names in CAPABILITIES.values())
    assert kept == ["CAP_NET_ADMIN"]


def test_the_unit_of_systemd_has_the_same() -> None:
    unit = (ROOT / "packaging/systemd/nfa.service").read_text()
    assert unit.count("CAP_") == 2 and "AmbientCapabilities=CAP_NET_ADMIN" in unit and "User=nfa" in unit


@pytest.mark.kernel
def test_sets_marks_logs_and_sockets_work(lab: Lab) -> None:
    """Sets are made, filled and healed, connections marked, logs written, and root's commands answered."""
    daemon = start(lab, config(lab.folder))
    assert Path(f"/proc/{daemon.pid}/status").read_text().count(f"{USER}\t{USER}\t{USER}\t{USER}") == 2
    lab.namespace.run(
        *("conntrack", "-I", "-p", "tcp", "-s", "192.168.1.20", "-d", "198.51.100.1", "--sport", "40000", "--dport", "443"),
        *("--timeout", "600", "--state", "ESTABLISHED"),
    )
    record = flow(application="netify.youtube", local="192.168.1.20", other="198.51.100.1", local_port=40000, other_port=443)
    lab.feed(record)
    assert lab.namespace.nft_set("nfa n.v4").keys == {("198.51.100.1",)}
    assert lab.namespace.ipset("i.v4").keys == {"198.51.100.1"}
    eventually(lambda: "mark=256" in lab.namespace.run("conntrack", "-L"), what="a mark")
    written = eventually(lambda: list((lab.folder / "logs").glob("x-*.json")), what="a log file")
    assert written[0].stat().st_uid == USER
    lab.namespace.nft("flush set inet nfa n.v4")
    lab.namespace.run("ipset", "destroy", "i.v4")
    eventually(lambda: lab.namespace.nft_set("nfa n.v4").keys == {("198.51.100.1",)}, what="a set that is healed")
    eventually(lambda: lab.namespace.ipset("i.v4").keys == {"198.51.100.1"}, what="a set that is made again")
    assert daemon.control.stat().st_mode & 0o777 == 0o600
    problems = {item["code"] for item in daemon.status()["health"]["problems"]}
    assert problems <= {"source-late"}, "the samples are of another day"
    assert not daemon.said("error"), daemon.log
    daemon.config.chmod(0o600)
    assert daemon.stop() == 0


@pytest.mark.kernel
def test_rules_and_routes_of_another_wan_work(lab: Lab) -> None:
    """The child that makes them has the daemon's one capability: as root it worked, on a router nothing went there."""
    namespace = lab.namespace
    namespace.ip(
        "link add lan type veth peer name wan2", "link set lan up", "link set wan2 up", "addr add 198.51.100.2/24 dev wan2",
        "route add default via 198.51.100.1 dev wan2",
    )  # fmt: skip
    policy = config(lab.folder)
    policy["targets"]["line2"] = {"target_type": "firewall", "route": "wan2"}  # type: ignore[index]
    policy["actions"]["a"]["targets"].append("line2")  # type: ignore[index]
    daemon = start(lab, policy)
    eventually(lambda: "198.51.100.1 dev wan2" in namespace.attempt("ip", "route", "show", "table", "7701").stdout)
    assert "fwmark 0x4000/0xc000 lookup 7701" in namespace.run("ip", "rule")
    assert not daemon.said("error") and not daemon.said("warning", "WAN"), daemon.log
    assert daemon.stop() == 0
    assert "7701" not in namespace.run("ip", "rule")


@pytest.mark.kernel
def test_what_only_root_reads_is_opened_by_nobody(lab: Lab) -> None:
    """A file of passwords in a folder that may be named; and how its owner lets the daemon read it after all."""
    secret = lab.folder / "list"
    secret.write_text("port == 443;\n")
    secret.chmod(0o600)
    os.chown(secret, 0, 0)
    daemon = start(lab, config(lab.folder, exemptions=[str(secret)]))
    daemon.loaded()
    said = daemon.said("error", "Permission denied")
    assert said and daemon.status()["policy"]["errors"] >= 1
    os.chown(secret, 0, USER)
    secret.chmod(0o640)
    daemon.configure(config(lab.folder, exemptions=[str(secret)], priority=5))
    daemon.until(lambda status: status["policy"]["errors"] == 0, "a policy without errors")


@pytest.mark.kernel
def test_a_folder_of_roots_takes_no_log(lab: Lab) -> None:
    """Whatever the configuration says, and even where it may be named."""
    logs = lab.folder / "logs"
    logs.mkdir()
    daemon = start(lab, config(lab.folder))
    lab.feed(flow(application="netify.youtube"))
    eventually(lambda: daemon.said("error", "cannot write to", "Permission denied"), what="a refused log")
    assert list(logs.iterdir()) == []


@pytest.mark.kernel
def test_without_net_admin_the_daemon_says_so(lab: Lab) -> None:
    """Else the capability could be left out."""
    lab.netifyd.open()
    lab.netifyd.path.chmod(0o777)
    daemon = lab.launch(config(lab.folder), wrapper=unprivileged())
    lab.netifyd.accept()
    lab.feed(flow(application="netify.youtube"))
    assert daemon.said("error", "not permitted") or daemon.said("Operation not permitted"), daemon.log


@pytest.mark.kernel
def test_a_socket_of_netifyd_for_root_alone_is_told(lab: Lab) -> None:
    """Without the helper that gives it to the group, nothing would match, and nobody would know why."""
    lab.netifyd.open()
    lab.netifyd.path.chmod(0o755)
    daemon = lab.launch(config(lab.folder), wrapper=unprivileged(*CAPABILITIES["bounding"]))
    eventually(lambda: daemon.said("no connection", "Permission denied"), what="a refused connection")
    assert daemon.status()["source"]["code"] == "source-forbidden"
