"""What nftables tells of others' doings reaches the daemon, and nothing else wakes it: the kernel's filter and messages."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from kernel_lab import Namespace

pytestmark = pytest.mark.kernel

# Listens as the daemon does, while nft scripts run one after the other. Prints for each how many datagrams came, and what
# they said.
_LISTENER = """
import json, subprocess, sys
from nfa.daemon.netlink.filter import attach
from nfa.daemon.netlink.monitor import Monitor, events
monitor = Monitor(1, attach)
monitor.watch(set(json.loads(sys.argv[1])))
said = []
for script in json.load(sys.stdin):
    subprocess.run(["nft", "-f", "-"], input=script.encode(), check=True)
    datagrams = []
    try:
        while True:
            datagrams.append(monitor._socket.recv(65536))
    except BlockingIOError:
        pass
    found = [[*what, [key.hex() for key in keys]] for data in datagrams for what, keys in events(data, 1).items()]
    said.append([len(datagrams), found])
print(json.dumps(said))
"""
GONE, MADE, DELETED, ELEMENTS = 0xA02, 0xA09, 0xA0B, 0xA0E
Told = list[tuple[int, list[list[object]]]]


def listen(namespace: Namespace, tables: list[str], *scripts: str) -> Told:
    """Return what each script led to."""
    printed = namespace.run(sys.executable, "-c", _LISTENER, json.dumps(tables), text=json.dumps(scripts))
    return [(count, found) for count, found in json.loads(printed)]


def block(number: int) -> str:
    return "{ " + ", ".join(f"10.0.{index >> 8}.{index & 255}" for index in range(number)) + " }"


SETS = """
add table inet nfa; add set inet nfa a { type ipv4_addr; flags timeout; }
add set inet nfa b { type ether_addr . inet_proto . inet_service; }
add table inet fw4; add set inet fw4 other { type ipv4_addr; }
"""


def test_others_elements_wake_nobody(namespace: Namespace) -> None:
    """A block list of 5,000 addresses that is filled anew all the time would take a quarter of a processor."""
    told = listen(
        namespace,
        ["nfa"],
        SETS,
        f"add element inet fw4 other {block(5000)}",
        f"delete element inet fw4 other {block(5000)}",
        "add chain inet fw4 c; add rule inet fw4 c drop; add rule inet fw4 c ip saddr @other accept",
        "delete rule inet fw4 c handle 3; add counter inet fw4 n",
        "add element inet nfa a { 10.0.0.1, 10.0.0.2 }",
    )
    assert {row[0] for row in told[0][1]} == {MADE}
    assert [count for count, _ in told[1:3]] == [0, 0]
    assert [count for count, _ in told[4:]] == [0, 0], told[4:]


def test_what_is_done_to_our_sets_is_told_with_the_keys(namespace: Namespace) -> None:
    """Only what is told can be healed."""
    told = listen(
        namespace,
        ["nfa"],
        SETS,
        "add element inet nfa a { 10.0.0.1, 10.0.0.2 timeout 9s, 10.0.0.3 }\n"
        "add element inet nfa b { 00:11:22:33:44:55 . tcp . 443 }",
        "delete element inet nfa a { 10.0.0.1, 10.0.0.2 }",
        "delete element inet nfa b { 00:11:22:33:44:55 . tcp . 443 }",
        "flush set inet nfa a",
        "delete set inet nfa b",
        "delete table inet nfa",
    )
    assert told[1] == (0, [])
    assert told[2][1] == [[ELEMENTS, 1, "nfa", "a", ["0a000001", "0a000002"]]]
    assert told[3][1] == [[ELEMENTS, 1, "nfa", "b", ["001122334455000006000000" + "01bb0000"]]]
    assert told[4][1] == [[ELEMENTS, 1, "nfa", "a", ["0a000003"]]]
    assert told[5][1] == [[DELETED, 1, "nfa", "b", []]]
    assert [GONE, 1, "nfa", "", []] in told[6][1]


@pytest.mark.parametrize("before", [0, 1, 10, 45, 60, 66, 70, 200, 1000])
def test_ours_among_many_others_in_one_transaction_is_told(namespace: Namespace, before: int) -> None:
    """The kernel puts messages of one transaction into one datagram: what it drops by the first of them would be lost."""
    others = f"add element inet fw4 other {block(before)}\n" if before else ""
    told = listen(
        namespace,
        ["nfa"],
        SETS + "add element inet nfa a { 10.0.0.1 }",
        others + "delete element inet nfa a { 10.0.0.1 }\n" + others.replace("add", "delete"),
        others + "delete set inet nfa b",
    )
    assert [ELEMENTS, 1, "nfa", "a", ["0a000001"]] in told[1][1]
    assert [DELETED, 1, "nfa", "b", []] in told[2][1]


@pytest.mark.parametrize("tables", [["x"], ["nfab", "nfac"], [f"t{number}" for number in range(30)], ["a-long-name"]])
def test_tables_are_told_apart_as_far_as_the_filter_can(namespace: Namespace, tables: list[str]) -> None:
    """Too many tables, or names that begin alike, must not make it deaf."""
    make = "\n".join(f"add table ip {name}; add set ip {name} s {{ type inet_service; }}" for name in tables)
    fill = "\n".join(f"add element ip {name} s {{ 80 }}" for name in tables)
    empty = "\n".join(f"flush set ip {name} s" for name in tables)
    told = listen(namespace, tables, make, fill, empty)
    assert told[1] == (0, [])
    assert [row for row in told[2][1] if row[0] == ELEMENTS] == [[ELEMENTS, 2, name, "s", ["0050"]] for name in tables]


def test_a_short_filter_is_better_than_none(namespace: Namespace) -> None:
    """Kernels before 6.8 have little room for one; the daemon must not be deaf there, nor awake for each address."""
    short = _LISTENER.replace("monitor = ", "attach.__defaults__ = ((8,),)\nmonitor = ")
    scripts = [SETS, "add element inet fw4 other { 10.0.0.1 }"]
    scripts += [f"add element inet fw4 other {block(900)}\nflush set inet nfa a"]
    told = json.loads(namespace.run(sys.executable, "-c", short, '["nfa"]', text=json.dumps(scripts)))
    assert told[1][0] == 0
    assert told[2][0] > 0


def with_room(namespace: Namespace, room: int) -> None:
    """Give filters the room that other kernels have: this namespace's alone since 6.8."""
    before = (PROC / "optmem_max").read_text()
    done = namespace.attempt("sysctl", "-w", f"net.core.optmem_max={room}")
    if done.returncode:
        pytest.skip("before 6.8 there is one net.core.optmem_max for the machine")
    assert (PROC / "optmem_max").read_text() == before, "the machine's own stays"


PROC = Path("/proc/sys/net/core")
SHORT = "add table ip o; add set ip o s { type inet_service; }"
PORTS = "{ " + ", ".join(str(port) for port in range(1, 5001)) + " }"


@pytest.mark.parametrize("tables", [["nfa"], ["fw5", "nfa", "b", "c", "d", "e"]])
@pytest.mark.parametrize("room", [20480, 131072])
def test_where_filters_have_little_room_others_elements_wake_nobody_either(
    namespace: Namespace, room: int, tables: list[str]
) -> None:
    """Kernels before 6.8 (5.15 and 6.6 of OpenWrt) have 20,480 bytes: 81 of 81 datagrams came through.

    The shorter the names, the more messages are in a datagram: 62 about `other`, 67 about `s`.
    """
    with_room(namespace, room)
    told = listen(
        namespace,
        tables,
        SETS + SHORT,
        f"add element inet fw4 other {block(5000)}",
        f"delete element inet fw4 other {block(5000)}",
        f"add element ip o s {PORTS}",
        f"delete element ip o s {PORTS}",
        "add chain inet fw4 c; add rule inet fw4 c drop; add set inet fw4 more { type ipv4_addr; }",
        "add element inet nfa a { 10.0.0.1, 10.0.0.2 }",
        f"add element inet fw4 other {block(300)}\ndelete element inet nfa a {{ 10.0.0.1 }}",
        "delete table inet nfa",
    )
    assert [count for count, _ in told[1:7]] == [0] * 6
    assert [ELEMENTS, 1, "nfa", "a", ["0a000001"]] in told[7][1]
    assert [GONE, 1, "nfa", "", []] in told[8][1]


def test_a_kernel_of_32_bits_has_room_to_drop_what_others_add(namespace: Namespace) -> None:
    """There a filter has 10,240 bytes, which is not enough to look at names: what others add to a set wakes nobody."""
    with_room(namespace, 10240)
    told = listen(
        namespace,
        ["nfa"],
        SETS + "add set inet fw4 blocklist { type ipv4_addr; }",
        f"add element inet fw4 blocklist {block(5000)}",
        f"add element inet fw4 other {block(300)}\nadd element inet nfa a {{ 10.0.0.1 }}\n"
        "delete element inet nfa a { 10.0.0.1 }",
    )
    assert told[1] == (0, [])
    assert [ELEMENTS, 1, "nfa", "a", ["0a000001"]] in told[2][1]


def test_who_watches_no_table_hears_nothing(namespace: Namespace) -> None:
    """A policy of ipsets and marks only would be woken by each reload of the firewall."""
    told = listen(namespace, [], SETS, "delete table inet nfa; delete table inet fw4")
    assert told == [(0, []), (0, [])]
