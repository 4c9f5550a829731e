"""The resident process on a router with 64 MB: what it carries, and what it grows by."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import ROOT, Lab, ipset, nftset, policy
from samples import APPLICATIONS, PROTOCOLS, flow, payload

pytestmark = pytest.mark.kernel

FORBIDDEN = ("pyparsing", "pyroute2", "asyncio", "logging", "argparse", "typing", "dataclasses", "subprocess", "email", "http")
# The standard library that it has in memory: what design allows, and what that brings with it.
ALLOWED = {
    "__future__", "_collections_abc", "_weakrefset", "abc", "codecs", "encodings", "genericpath", "importlib", "io", "os",
    "posixpath", "site", "stat", "struct", "zipimport",
}  # fmt: skip
LIMIT = 13 * 1024  # kB
PER_ELEMENT = 250  # bytes
ELEMENTS = 50_000
FIRST = 1_500

# Run inside the namespace, where it may look: the names of Python files in the memory of a process. A module that was
# imported leaves its path there, in its code objects.
LOOK = """
import re, sys
pid = sys.argv[1]
found = set()
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        area, rights, _, _, _, *name = line.split()
        if "rw" not in rights or name and name[0].startswith("/dev"):
            continue
        start, end = (int(part, 16) for part in area.split("-"))
        memory.seek(start)
        try:
            data = memory.read(end - start)
        except OSError:
            continue
        found.update(re.findall(rb"/[\\w./+-]{3,200}[.]py(?=\\0)", data))
print("\\n".join(sorted(path.decode() for path in found)))
"""


def memory(pid: int) -> int:
    """Resident kB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def hundred_actions() -> dict[str, object]:
    """A policy of a hundred mixed actions on ten targets."""
    applications = [name for name in APPLICATIONS if name != "Unknown"]
    protocols = [name.lower() for name in PROTOCOLS if name != "Unknown"]
    targets = {f"i{number}": ipset(f"i{number}", "hash:ip,port,ip") for number in range(5)}
    targets |= {f"n{number}": nftset(f"n{number}") for number in range(5)}
    names = list(targets)
    kinds = (
        lambda n: f"app == '{applications[n % len(applications)]}';",
        lambda n: f"protocol == '{protocols[n % len(protocols)]}' && other_port > {1000 + n};",
        lambda n: f"category == 'social-media' && local_ip == 192.168.{n}.0/24;",
        lambda n: f"detected_hostname == 'rx:^(www[0-9]|cdn-{n})\\\\.example{n}\\\\.(com|net)$';",
        lambda n: f"(app == 'netify.netflix' || other_ip == 203.0.113.{n}) && !ip_nat;",
    )
    actions = {
        f"action {number}": {
            "criteria": kinds[number % len(kinds)](number),
            "targets": [names[number % 10]],
            "exemptions": [f"192.168.9.{number}"],
        }
        for number in range(100)
    }
    return {"version": 1, "actions": actions, "targets": targets, "exemptions": ["192.168.1.1", "protocol == 'dns';"]}


def imported(lab: Lab) -> list[str]:
    return lab.namespace.run(sys.executable, "-c", LOOK, str(lab.daemon.pid)).splitlines()


def test_the_compiler_is_gone_and_nothing_of_it_stays(lab: Lab) -> None:
    """Each of these modules costs a router half a megabyte to twenty for as long as the daemon lives."""
    daemon = lab.start(hundred_actions(), cold=True)
    status = lab.feed(flow("HTTP/S", "netify.facebook"))
    assert sum(action["active"] for action in status["actions"].values()) == 100
    assert not Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    assert status["flows"]["matched"] == 1
    try:
        paths = imported(lab)
    except AssertionError as failure:
        pytest.skip(f"may not look into the process: {failure}")
    assert any(path.endswith("nfa/daemon/daemon.py") for path in paths), "looked at the right memory"
    own = [path for path in paths if path.startswith(str(ROOT))]
    foreign = [path for path in own if not re.search(r"/nfa/(__init__\.py|(daemon|image)/.*)$", path)]
    assert own and not foreign, "the compiler and the commands are no part of it"
    library = {path.split("/python3.")[1].split("/", 1)[1] for path in paths if "/lib/python3." in path}
    modules = {path.removesuffix(".py").split("/")[0] for path in library}
    assert "os" in modules and modules <= ALLOWED, sorted(modules - ALLOWED)
    shared = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert not re.search(r"_asyncio|_datetime|_ssl|_ctypes|_decimal|_pickle", shared)


def test_the_daemon_imports_nothing_heavy(lab: Lab) -> None:
    """The same, where the memory of a process cannot be looked at: what importing it brings in."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import nfa.daemon.daemon; print(*sys.modules)"
    loaded = set(lab.namespace.run(sys.executable, "-I", "-S", "-c", program).split())
    assert "nfa.daemon.targets.sets.writer" in loaded
    assert not loaded & set(FORBIDDEN)


def test_memory_with_a_hundred_actions(lab: Lab) -> None:
    """13 MB before elements; and reloads do not add to it."""
    daemon = lab.start(hundred_actions(), cold=True)
    lab.feed(flow("HTTP/S", "netify.facebook"))
    used = memory(daemon.pid)
    print(f"\nresident with 100 actions: {used} kB")
    assert used <= LIMIT
    assert abs(daemon.status()["memory"]["rss_kb"] - used) < 512


@pytest.mark.parametrize("target", [nftset("n", set_family="ipv4"), {"target_type": "firewall", "verdict": "reject"}])
def test_memory_of_an_element(lab: Lab, target: dict[str, Any]) -> None:
    """250 bytes each (IPv4), with the flow that holds it: 50,000 of them must not fill a router. A held connection is one."""
    daemon = lab.start(policy({"n": target}), cold=True)
    template = payload(flow(local="192.168.1.77", other="203.0.113.111", other_port=12345, digest="d" * 40)).decode()
    # Caches of a fixed size are no element's: have them full first.
    lab.feed(*_distinct(template, 0, FIRST))
    before = memory(daemon.pid)
    status = lab.feed(*_distinct(template, FIRST, FIRST + ELEMENTS))
    assert status["targets"]["n"]["elements"] == status["flows"]["live"] == FIRST + ELEMENTS
    grown = (memory(daemon.pid) - before) * 1024 / ELEMENTS
    print(f"\nan element: {grown:.0f} bytes resident")
    assert grown <= PER_ELEMENT


def _distinct(template: str, first: int, last: int) -> list[bytes]:
    made = []
    for number in range(first, last):
        # Digests as netifyd's: 160 bits that look random.
        digest = f"{number * 0x9E3779B97F4A7C15 % (1 << 160):040x}"[::-1]
        text = template.replace("192.168.1.77", f"192.168.{number % 7}.{number % 250 + 1}").replace("d" * 40, digest)
        text = text.replace("203.0.113.111", f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")
        data = text.replace("12345", str(1024 + number % 60000)).encode()
        made.append(b'{"length": %d}\n' % len(data) + data)
    return made
