"""Marks, labels and cuts on real connections through a router, with NAT and without: on the right ones, and on no other."""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, Namespace, nftset, policy
from lab_clock import Clock
from network_lab import AWAY, GATES, HOME, Entry, Network, network
from samples import as_v5, flow, purge, stats
from waiting import PATIENCE, eventually

pytestmark = pytest.mark.kernel

LABELS = {3: "streaming", 5: "five", 10: "a-netify-youtube", 11: "a-netflix", 12: "p-http-s", 99: "foreign"}
FOREIGN_MARK = 0x50000005
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "udplite": 136, "sctp": 132, "dccp": 33}
# What somebody else has put on each connection, and must find there afterwards.
FIREWALL = """
table inet foreign {
  chain first {
    type filter hook prerouting priority mangle;
    ct state new ct mark set 0x50000005 ct label set 99
  }
}
"""
NAT = {
    "none": "",
    "masquerade": """
table inet nat {
  chain post {
    type nat hook postrouting priority srcnat;
    oifname wan meta l4proto { tcp, udp } masquerade to :20000-29999
    oifname wan masquerade
  }
}
""",
    "dnat": """
table inet nat {
  chain pre {
    type nat hook prerouting priority dstnat;
    iifname wan meta l4proto { tcp, udp, icmp } dnat ip to 192.168.1.20
    iifname wan meta l4proto { tcp, udp } dnat ip6 to fd00:1::20
    iifname wan icmpv6 type echo-request dnat ip6 to fd00:1::20
  }
}
""",
}
MARK = {"target_type": "ctmark", "mark": "0x2", "shift": 4, "mask": "0xff0"}
TARGETS: dict[str, dict[str, object]] = {
    "mark": MARK,
    "label": {"target_type": "ctlabel", "labels": ["streaming", 5]},
    "auto": {"target_type": "ctlabel", "auto_label": True, "log_errors": True},
}
OURS = (FOREIGN_MARK & ~0xFF0 | 0x20, frozenset(LABELS[bit] for bit in (3, 5, 10, 12, 99)))
THEIRS = (FOREIGN_MARK, frozenset({"foreign"}))


@pytest.fixture
def net(lab: Lab, tmp_path: Path) -> Iterator[Network]:
    reason = unable(lab.namespace)
    if reason:
        pytest.skip(reason)
    with network(lab.namespace, tmp_path / "network", LABELS) as made:
        yield made


def unable(namespace: Namespace) -> str:
    """Why there can be no such network here."""
    for command in (["conntrack", "-L"], ["ip", "link", "add", "probe", "type", "veth"]):
        try:
            done = namespace.attempt(*command)
        except FileNotFoundError:
            return f"needs {command[0]}"
        if done.returncode:
            return f"{' '.join(command)}: {done.stderr.strip()}"
    namespace.run("ip", "link", "del", "probe")
    return ""


def config(net: Network, targets: dict[str, dict[str, object]], **more: Any) -> dict[str, Any]:
    targets = copy.deepcopy(targets)
    return policy(targets, "app == 'youtube';", target_globals={"ctlabel": {"connlabel_conf": str(net.connlabel)}}, **more)


def seen(entry: Entry, side: str, by: str, application: str = "netify.youtube") -> dict[str, Any]:
    """The record of a connection as netifyd sees it on the `lan` or the `wan` side of NAT; `by`: who opened it."""
    original, reply = entry.original, entry.reply
    if (side == "lan") is (by == "home"):  # on the opener's side, packets are as the opener sent them
        opener, opened = (original[0], original[2]), (original[1], original[3])
    else:
        opener, opened = (reply[1], reply[3]), (reply[0], reply[2])
    local, other = (opener, opened) if by == "home" else (opened, opener)
    ports = {"local_port": int(local[1]), "other_port": int(other[1])}
    if "icmp" in entry.protocol:
        ports = {"local_port": 0, "other_port": 0}
    return flow(
        "HTTP/S", application, local=local[0], other=other[0], ip_protocol=NUMBERS[entry.protocol],
        local_origin=by == "home", interface=side, internal=side == "lan", **ports,
    )  # fmt: skip


def reclassified(record: dict[str, Any]) -> dict[str, Any]:
    """The next record of the same flow: netifyd has found out what it is, and that is something without a label."""
    changes = {"detected_application_name": "netify.reddit", "detected_protocol_name": "QUIC", "detection_updated": True}
    return record | {"flow": record["flow"] | changes}


def carries(entry: Entry) -> tuple[int, frozenset[str]]:
    return entry.mark, entry.labels


def tuples(entries: list[Entry]) -> dict[tuple[Any, ...], tuple[int, frozenset[str]]]:
    """What each connection carries."""
    return {(e.protocol, e.original, e.reply): carries(e) for e in entries}


def opened(net: Network, nat: str, version: int) -> list[tuple[Entry, str]]:
    """Open connections by TCP and UDP, several each, from both sides where NAT allows; with who opened each."""
    found = []
    for number, kind in enumerate(("tcp", "udp", "tcp", "udp", "tcp", "udp")):
        port = 1000 + number
        if nat != "dnat":
            net.away.do("serve", kind, version, port)
            own = net.home.open(kind, version, AWAY[version], port)
            found.append((net.entry(kind, own, port), "home"))
        if nat != "masquerade":
            net.home.do("serve", kind, version, port)
            address = GATES[version][1] if nat == "dnat" else HOME[version]
            own = net.away.open(kind, version, address, port)
            found.append((net.entry(kind, own, port), "away"))
    return found


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("nat", NAT)
def test_the_right_connections_carry_mark_and_labels(lab: Lab, net: Network, nat: str, version: int) -> None:
    """NAT, a connection from outside, another protocol: the mark would be missing there, or on a neighbour's connection."""
    lab.namespace.nft(FIREWALL, NAT[nat])
    connections = opened(net, nat, version)
    assert all(carries(entry) == THEIRS for entry, _ in connections)
    if nat != "none":
        assert all(entry.original[:2] != entry.reply[1::-1] for entry, _ in connections)
    # Of three connections of a kind, one is seen before NAT, one after, and one is something else.
    half = len(connections) // 3
    ours = [seen(entry, "lan", by) for entry, by in connections[:half]]
    ours += [seen(entry, "wan", by) for entry, by in connections[half : 2 * half]]
    others = [seen(entry, "lan", by, "netify.facebook") for entry, by in connections[2 * half :]]
    lab.start(config(net, TARGETS))
    status = lab.feed(*ours, *others)
    expected = {entry: OURS if index < 2 * half else THEIRS for index, (entry, _) in enumerate(connections)}
    assert tuples(net.entries()) == {(e.protocol, e.original, e.reply): c for e, c in expected.items()}
    for name in TARGETS:
        counts = status["targets"][name]
        assert (counts["elements"], counts["added"], counts["errors"], counts["skipped"]) == (2 * half, 2 * half, 0, 0), name

    status = lab.feed(*map(reclassified, ours))
    assert set(tuples(net.entries()).values()) == {THEIRS}
    assert [status["targets"][name]["withdrawn"] for name in TARGETS] == [2 * half] * 3
    assert [status["targets"][name]["elements"] for name in TARGETS] == [0] * 3


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("nat", NAT)
def test_pings_are_found_by_their_addresses(lab: Lab, net: Network, nat: str, version: int) -> None:
    """No record tells an echo's id, so ICMP would never be labelled."""
    lab.namespace.nft(FIREWALL, NAT[nat])
    protocol = "icmp" if version == 4 else "icmpv6"
    if nat == "dnat":
        net.away.do("ping", version, GATES[version][1], 7)
    else:
        net.home.do("ping", version, AWAY[version], 7)
        net.home.do("ping", version, AWAY[version], 8)
    net.home.do("ping", version, GATES[version][0], 9)  # the router itself: somebody else's
    pings = [e for e in net.entries() if e.protocol == protocol and GATES[version][0] not in e.original]
    side, by = ("lan", "away") if nat == "dnat" else ("wan", "home")
    record = seen(pings[0], side, by)
    lab.start(config(net, TARGETS))
    lab.feed(record)
    marked = {(e.protocol, e.original, e.reply): OURS for e in pings}

    def now(entries: list[Entry]) -> dict[tuple[Any, ...], Any]:
        return {key: value for key, value in tuples(entries).items() if key[0] == protocol and value != THEIRS}

    net.until(lambda entries: now(entries) == marked, "the mark on all pings of the flow")
    lab.daemon.until(lambda status: status["targets"]["mark"]["elements"] == 1)
    lab.feed(reclassified(record))
    net.until(lambda entries: now(entries) == {}, "no mark")
    assert lab.daemon.status()["targets"]["auto"]["withdrawn"] == 1
    assert not lab.daemon.said("error")


def test_the_reply_tuple_of_a_record_finds_what_its_own_does_not(lab: Lab, net: Network) -> None:
    """netifyd may see packets where other NAT has changed both ends; its version 5 says how conntrack knows them."""
    lab.namespace.nft(FIREWALL, NAT["masquerade"])
    entry, _ = opened(net, "masquerade", 4)[0]
    record = as_v5(flow("HTTP/S", "netify.youtube", local="10.9.9.9", local_port=1, other="10.8.8.8", other_port=2))
    source, destination, sport, dport = entry.reply
    record["flow"]["conntrack"] = {
        "id": 1, "mark": 0, "reply_src_ip": source, "reply_src_port": int(sport), "reply_dst_ip": destination,
        "reply_dst_port": int(dport),
    }  # fmt: skip
    lab.start(config(net, TARGETS))
    lab.feed(record)
    assert {e.original: carries(e) for e in net.entries() if carries(e) != THEIRS} == {entry.original: OURS}
    lab.feed(reclassified(record))
    assert set(tuples(net.entries()).values()) == {THEIRS}


def test_without_a_rule_that_sets_a_label_the_administrator_is_told_which(lab: Lab, net: Network) -> None:
    """Labels would be missing for ever, and nobody would know why."""
    net.away.do("serve", "udp", 4, 53)
    lab.namespace.nft("table inet t { chain c { type filter hook forward priority 0; ct state new counter; }; }")
    entries = [net.entry("udp", net.home.open("udp", 4, AWAY[4], 53)) for _ in range(3)]
    lab.start(config(net, TARGETS))
    status = lab.feed(*[seen(entry, "lan", "home") for entry in entries])
    assert {e.labels for e in net.entries()} == {frozenset()}
    assert {e.mark for e in net.entries()} == {0x20}, "marks need no room"
    assert [status["targets"][name]["errors"] for name in TARGETS] == [0, 3, 3]
    assert "no room for labels" in status["targets"]["label"]["last_error"]
    told = lab.daemon.said("error", "target 'label'", "ct label set")
    assert len(told) == 1
    rule = told[0].partition("nft '")[2].partition("'")[0]
    lab.namespace.nft(*rule.split("; "))
    new = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    status = lab.feed(seen(new, "lan", "home"))
    assert net.entry("udp", new.original[2]).labels == OURS[1] - {"foreign"}
    assert status["targets"]["label"]["sets"][0]["trouble"] == ""
    assert lab.daemon.said("notice", "target 'label'", "can be used again")
    lab.feed(stats(seen(entries[0], "lan", "home")["flow"]["digest"]))
    assert len(lab.daemon.said("error", "target 'label'")) == 1


def test_a_connection_that_is_not_there_yet_is_found_with_a_later_record(lab: Lab, net: Network) -> None:
    """A bridge or a slow table: the first record may come before the entry."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "udp", 4, 53)
    entry = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    lab.namespace.run("conntrack", "-D", "-p", "udp")
    record = seen(entry, "lan", "home")
    lab.start(config(net, TARGETS))
    status = lab.feed(record)
    assert [status["targets"]["mark"][name] for name in ("elements", "added", "errors", "skipped")] == [0, 0, 0, 0]
    assert net.home.do("talk", 0)
    lab.feed(stats(record["flow"]["digest"]))
    assert carries(net.entry("udp", entry.original[2])) == OURS


def test_a_flow_that_ends_leaves_its_connection_alone_and_one_never_found_is_counted(lab: Lab, net: Network) -> None:
    """The end of a flow is no reason to change the last packets' class; an entry that never was must not go unnoticed."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "udp", 4, 53)
    entry = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    record, none = seen(entry, "lan", "home"), flow("HTTP/S", "netify.youtube", other="203.0.113.99", interface="lan")
    lab.start(config(net, TARGETS))
    lab.feed(record, none)
    status = lab.feed(purge(record["flow"]["digest"]), purge(none["flow"]["digest"]))
    assert carries(net.entry("udp", entry.original[2])) == OURS
    assert [status["targets"]["mark"][name] for name in ("elements", "added", "withdrawn", "skipped")] == [0, 1, 0, 1]
    text = "not in the conntrack table: tcp 192.168.1.20:50000 > 203.0.113.99:443"
    eventually(lambda: lab.daemon.said("warning", "target 'auto'", text), what="a flow that log_errors tells")
    assert not lab.daemon.said("target 'label'"), "without log_errors nothing is told"


def test_targets_that_share_bits_do_not_take_from_each_other(lab: Lab, net: Network) -> None:
    """Two policies with overlapping masks or a common label: the end of one would take what the other still wants."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "udp", 4, 53)
    entry = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    made = config(net, {
        "wide": {"target_type": "ctmark", "mark": "0x120", "mask": "0xff0"},
        "narrow": {"target_type": "ctmark", "mark": "0x30", "mask": "0x0f0"},
        "one": {"target_type": "ctlabel", "labels": ["streaming", "five"]},
        "two": {"target_type": "ctlabel", "labels": ["five", "a-netflix"]},
    })  # fmt: skip
    made["actions"] = {
        "app": {"criteria": "app == 'youtube';", "targets": ["narrow", "two"]},
        "protocol": {"criteria": "protocol == 'http/s';", "targets": ["wide", "one"]},
    }
    lab.start(made)
    record = seen(entry, "lan", "home")
    lab.feed(record)
    assert carries(net.entry("udp", entry.original[2])) == (0x50000135, {"foreign", "streaming", "five", "a-netflix"})
    other = record | {"flow": record["flow"] | {"detected_application_name": "netify.reddit"}}
    lab.feed(other)
    assert carries(net.entry("udp", entry.original[2])) == (0x50000125, {"foreign", "streaming", "five"})
    lab.feed(record)
    only = record | {"flow": record["flow"] | {"detected_protocol_name": "QUIC", "detected_protocol": 188}}
    lab.feed(only)
    assert carries(net.entry("udp", entry.original[2])) == (0x50000035, {"foreign", "five", "a-netflix"})
    lab.feed(reclassified(record))
    assert carries(net.entry("udp", entry.original[2])) == THEIRS


def test_a_target_that_a_reload_removes_or_changes_takes_its_bits_back(lab: Lab, net: Network) -> None:
    """A mark that nobody owns stays for as long as the connection: a download could be slow for days."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "udp", 4, 53)
    entry = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    made = config(net, TARGETS)
    daemon = lab.start(made)
    record = seen(entry, "lan", "home")
    lab.feed(record)
    del made["targets"]["auto"]
    made["actions"]["all"]["targets"] = ["mark", "label"]
    daemon.configure(made)
    daemon.signal(signal.SIGHUP)
    daemon.loaded(2)
    assert net.entry("udp", entry.original[2]).labels == {"foreign", "streaming", "five"}
    made["targets"]["mark"] = MARK | {"mark": "0x7"}
    daemon.configure(made)
    daemon.signal(signal.SIGHUP)
    daemon.loaded(3)
    wanted = 0x50000075, {"foreign", "streaming", "five"}
    net.until(lambda entries: [carries(e) for e in entries] == [wanted], "the new mark on a connection that runs")
    daemon.stop()
    assert carries(net.entry("udp", entry.original[2])) == (FOREIGN_MARK, {"foreign"}), "off is off"


def test_nfa_flush_gives_everything_back(lab: Lab, net: Network) -> None:
    """An administrator wants the network as it was, now."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "udp", 4, 53)
    entry = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    daemon = lab.start(config(net, TARGETS))
    lab.feed(seen(entry, "lan", "home"))
    listed = lab.namespace.run(*lab.nfa("elements", "--control", str(daemon.control), "auto"))
    assert f"udp 192.168.1.20:{entry.original[2]} > 203.0.113.80:53 label a-netify-youtube, p-http-s" in listed
    lab.namespace.run(*lab.nfa("flush", "--control", str(daemon.control), "mark"))
    net.until(lambda entries: {e.mark for e in entries} == {FOREIGN_MARK}, "the mark gone")


# -- cut ---------------------------------------------------------------------------------------------------------------

BLOCKING = """
table inet nfa {
  set blocked.v4 { type ipv4_addr; flags timeout; }
  chain forward {
    type filter hook forward priority filter;
    ct state established accept
    iifname wan drop
    ip daddr @blocked.v4 drop
  }
}
"""


def talks(net: Network, index: int, wanted: bool) -> bool:
    """Whether a connection still works. One that is to work has time for it; silence is found out sooner."""
    return bool(net.home.do("talk", index, PATIENCE if wanted else 0.3))


@pytest.mark.parametrize("cut", [False, True])
def test_a_cut_brings_an_established_connection_before_the_rules(lab: Lab, net: Network, cut: bool) -> None:
    """Firewalls let established connections pass first: a block would not end the video that plays."""
    lab.namespace.nft(BLOCKING)
    for kind in ("tcp", "udp"):
        net.away.do("serve", kind, 4, 80)
    entries = [net.entry(kind, net.home.open(kind, 4, AWAY[4], 80)) for kind in ("tcp", "udp")]
    lab.start(config(net, {"block": nftset("blocked", "other_addr", set_family="ipv4", cut=cut)}))
    status = lab.feed(*[seen(entry, "lan", "home") for entry in entries])
    assert [talks(net, index, not cut) for index in (0, 1)] == [not cut, not cut]
    assert status["kernel"]["cut"] == 2 * cut


def test_bedtime_ends_an_established_connection(lab: Lab, net: Network) -> None:
    """The film that plays at nine plays on: the reason for which people ask for schedules at all."""
    lab.namespace.nft(BLOCKING)
    net.away.do("serve", "tcp", 4, 80)
    entry = net.entry("tcp", net.home.open("tcp", 4, AWAY[4], 80))
    made = config(net, {"block": nftset("blocked", "other_addr", set_family="ipv4", cut=True)}) | {"timezone": "UTC0"}
    made["actions"]["all"]["time_of_day"] = {"time_start": "21:00", "time_end": "22:00"}
    clock = Clock(lab.folder, "20:59:59")
    lab.start(made, clock=clock)
    lab.feed(seen(entry, "lan", "home"))
    assert net.home.do("talk", 0), "not yet"
    clock.set("21:00:00")
    eventually(lambda: not net.home.do("talk", 0, 0.3), what="the connection is cut")


@pytest.mark.parametrize("kind", ["nftset", "log"])
def test_a_policy_that_is_switched_on_cuts_what_runs_already(lab: Lab, net: Network, kind: str) -> None:
    """At bedtime, or after a click: the video that plays would go on until its connection ends."""
    lab.namespace.nft(BLOCKING)
    net.away.do("serve", "tcp", 4, 80)
    entry = net.entry("tcp", net.home.open("tcp", 4, AWAY[4], 80))
    block = nftset("blocked", "other_addr", set_family="ipv4", cut=True)
    log = {"target_type": "log", "path": str(lab.folder), "cut": True}
    made = config(net, {"t": block if kind == "nftset" else log}, reprocess_flows=True)
    made["actions"]["all"]["enabled"] = False
    daemon = lab.start(made)
    lab.feed(seen(entry, "lan", "home"))
    made["actions"]["all"]["enabled"] = True
    daemon.configure(made)
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda status: status["kernel"]["cut"] == 1, "the connection cut")
    assert talks(net, 0, kind == "log") == (kind == "log")
    assert daemon.status()["targets"]["t"]["elements"] == (kind == "nftset")


def test_a_flow_is_cut_once_and_carries_its_mark_again_afterwards(lab: Lab, net: Network) -> None:
    """A connection that is cut with each record would stutter; a mark that goes with its entry would be no mark."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "tcp", 4, 80)
    entry = net.entry("tcp", net.home.open("tcp", 4, AWAY[4], 80))
    lab.start(config(net, {name: target | {"cut": True} for name, target in TARGETS.items()}))
    record = seen(entry, "lan", "home")
    lab.feed(record)
    assert net.entries() == []
    assert net.home.do("talk", 0)
    net.until(lambda entries: [carries(e) for e in entries] == [OURS], "the mark on the new entry")
    status = lab.feed(record, stats(record["flow"]["digest"]), record)
    assert status["kernel"]["cut"] == 1
    assert [carries(e) for e in net.entries()] == [OURS]
    lab.feed(reclassified(record))
    assert [carries(e) for e in net.entries()] == [THEIRS]


@pytest.mark.parametrize("kind", ["log", "sink"])
def test_a_target_without_elements_cuts_once_and_pings_are_cut_too(lab: Lab, net: Network, kind: str) -> None:
    """A log holds nothing in the kernel: each record of the flow would look like its first, and cut it again."""
    lab.namespace.nft(FIREWALL)
    net.away.do("serve", "udp", 4, 53)
    entry = net.entry("udp", net.home.open("udp", 4, AWAY[4], 53))
    net.home.do("ping", 4, AWAY[4], 7)
    ping = next(e for e in net.entries() if e.protocol == "icmp")
    targets = {
        "log": {"target_type": "log", "path": str(lab.folder), "cut": True},
        "sink": {"target_type": "sink", "sink": "sink-socket", "cut": True},
    }
    channel = {"channels": {"flow-actions": {"bind_address": f"unix://{lab.folder}/sink.sock"}}}
    (lab.folder / "netify-sink-socket.json").write_text(json.dumps(channel))
    lab.start(config(net, {kind: targets[kind]}))
    records = [seen(entry, "lan", "home"), seen(ping, "lan", "home")]
    lab.feed(*records)
    lab.daemon.until(lambda status: status["kernel"]["cut"] == 2, "both cut")
    assert net.entries() == []
    assert net.home.do("talk", 0)
    status = lab.feed(*records, *records)
    assert status["kernel"]["cut"] == 2
    assert status["targets"][kind]["elements"] == (2 if kind == "log" else 0), "an entry of each flow"
    assert len(net.entries()) == 1


# -- other protocols -----------------------------------------------------------------------------------------------------


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp_init(sport: int, dport: int) -> bytes:
    """An SCTP packet with an INIT chunk (RFC 9260)."""
    ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    chunk = bytes.fromhex("01000014123456780000ffff0001000100000001")
    whole = ports + bytes(8) + chunk
    return whole[:8] + crc32c(whole).to_bytes(4, "little") + whole[12:]


def dccp_request(sport: int, dport: int) -> bytes:
    """A DCCP request (RFC 4340), its checksum as over the pseudo header of the two hosts."""
    head = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + bytes.fromhex("05000000010000000000000100000001")
    pseudo = bytes([192, 168, 1, 20, 203, 0, 113, 80, 0, 33, 0, len(head)])
    total = sum(int.from_bytes((pseudo + head)[i : i + 2], "big") for i in range(0, len(pseudo + head), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:6] + (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big") + head[8:]


@pytest.mark.parametrize("kind", ["udplite", "sctp", "dccp"])
def test_other_protocols_are_found_where_the_kernel_knows_them(lab: Lab, net: Network, kind: str) -> None:
    """WebRTC and telephony: a class of its own would never reach them."""
    lab.namespace.nft(FIREWALL)
    if kind == "udplite":
        # A checksum that a veth pair leaves unfinished is invalid to conntrack (6.18).
        lab.namespace.run("sysctl", "-qw", "net.netfilter.nf_conntrack_checksum=0")
        try:
            net.away.do("serve", kind, 4, 77)
            for _ in range(2):
                net.home.open(kind, 4, AWAY[4], 77)
        except AssertionError:
            pytest.skip("this kernel has no UDPLite")
    else:
        for port in (5001, 5002):
            packet = sctp_init(port, 77) if kind == "sctp" else dccp_request(port, 77)
            net.home.do("raw", NUMBERS[kind], AWAY[4], packet.hex())
    entries = [entry for entry in net.entries() if entry.protocol == kind]
    if not entries:
        pytest.skip(f"this kernel does not track {kind}")
    # Without support for a protocol (DCCP since 6.17 or so), all its connections between two hosts are one entry without ports.
    assert len(entries) == (2 if entries[0].original[3] == "77" else 1)
    lab.start(config(net, TARGETS))
    lab.feed(seen(entries[0], "lan", "home"))
    expected = {entry.original: THEIRS for entry in entries} | {entries[0].original: OURS}
    assert {entry.original: carries(entry) for entry in net.entries()} == expected
