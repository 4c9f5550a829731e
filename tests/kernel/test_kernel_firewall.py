"""The target type firewall, judged by packets: what a client behind the router can still do, on a real kernel.

Its rules stand in the daemon's own table, before a firewall that accepts what is established.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_lab import ALL, FILM, MAIL, Client, client_of
from kernel_lab import Lab, Namespace
from lab_clock import Clock
from network_lab import AWAY, HOME
from samples import flow, purge
from waiting import eventually

pytestmark = pytest.mark.kernel


def config(targets: dict[str, Any] | None = None, **actions: Any) -> dict[str, Any]:
    made = targets or {"stop": {"target_type": "firewall", "verdict": "reject"}}
    return {
        "version": 1,
        "targets": made,
        "actions": actions or {"films": {"criteria": "app == 'youtube';", "targets": list(made)}},
    }


@pytest.fixture
def client(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Client]:
    with client_of(lab, namespace, tmp_path) as made:
        yield made


def nfa(lab: Lab, *words: str) -> str:
    return str(lab.namespace.run(*lab.nfa(words[0], "--control", str(lab.daemon.control), *words[1:])))


def reload(lab: Lab, made: dict[str, Any]) -> dict[str, Any]:
    lab.daemon.configure(made)
    return dict(lab.daemon.ask("reload"))


def listed(lab: Lab) -> str:
    return str(lab.namespace.run("nft", "list", "ruleset"))


@pytest.mark.parametrize("verdict", ["reject", "drop"])
def test_exactly_the_connection_is_blocked_for_as_long_as_the_policy_says(lab: Lab, client: Client, verdict: str) -> None:
    """ "Block YouTube" shows green and blocks nothing; or blocks Google's mail, which has the same address; or goes on when it
    is switched off."""
    made = config({"stop": {"target_type": "firewall", "verdict": verdict}})
    lab.start(made)
    for kind, version in ALL:
        client.connect(kind, version, "film")
        client.connect(kind, version, "mail")
    films = [(kind, version, "film") for kind, version in ALL]
    udp = [one for one in films if one[0] == "udp"]
    mails = [(kind, version, "mail") for kind, version in ALL]
    client.passes(True, *films, *mails)
    lab.feed(*[client.record(*one) for one in films], *[client.record(*one, application="netify.facebook") for one in mails])
    client.passes(False, *films)
    client.passes(True, *mails)
    assert all(client.tries(kind, version) for kind, version in ALL), "a connection that nobody has seen is not blocked"
    nfa(lab, "pause", "films", "1h")
    client.passes(True, *udp)
    nfa(lab, "resume", "films")
    client.passes(False, *udp)
    client.passes(True, *mails)
    made["actions"]["films"]["enabled"] = False
    reload(lab, made)
    client.passes(True, *udp)
    made["actions"]["films"]["enabled"] = True
    reload(lab, made)
    client.passes(False, *udp)
    assert lab.daemon.stop() == 0
    client.passes(True, *udp, *mails)
    assert "table inet nfa" not in listed(lab) and "table inet fw4" in listed(lab)


def test_a_flow_that_turns_out_to_be_something_else_goes_on(lab: Lab, client: Client) -> None:
    """netifyd thinks better of a connection, and the homework stays blocked."""
    lab.start(config())
    client.connect("udp", 4, "a")
    lab.feed(client.record("udp", 4, "a"))
    client.passes(False, ("udp", 4, "a"))
    lab.feed(client.record("udp", 4, "a", application="netify.facebook"))
    client.passes(True, ("udp", 4, "a"))
    lab.feed(client.record("udp", 4, "a"))
    client.passes(False, ("udp", 4, "a"))


def test_icmp_and_a_server_and_a_device(lab: Lab, client: Client) -> None:
    """A pause for a tablet would leave its other connections; a ping would go on."""
    targets = {
        "one": {"target_type": "firewall", "verdict": "drop"},
        "server": {"target_type": "firewall", "verdict": "drop", "scope": "server"},
        "device": {"target_type": "firewall", "verdict": "drop", "scope": "device"},
    }
    actions = {
        "ping": {"criteria": "protocol == 'icmp' || protocol == 'icmpv6';", "targets": ["one"]},
        "film": {"criteria": "app == 'youtube';", "targets": ["server"]},
        "tablet": {"criteria": "app == 'tiktok';", "targets": ["device"]},
    }
    lab.start(config(targets, **actions))
    home = client.net.home
    pings = lambda version: home.do("pings", version, AWAY[version], 7)  # noqa: E731
    assert pings(4) and pings(6)
    for version, protocol, name in ((4, 1, "ICMP"), (6, 58, "ICMPv6")):
        lab.feed(flow(name, local=HOME[version], local_port=0, other=AWAY[version], other_port=0, ip_protocol=protocol))
    eventually(lambda: not pings(4) and not pings(6), what="pings are dropped")
    client.connect("tcp", 4, "a")
    lab.feed(client.record("tcp", 4, "a"))
    client.passes(False, ("tcp", 4, "a"))
    eventually(lambda: not client.tries("tcp", 4), what="the next connection to the server is stopped from its first packet")
    assert client.tries("tcp", 4, MAIL) and client.tries("udp", 4), "another port of the server is another server"
    assert client.tries("tcp", 6)
    client.connect("udp", 6, "b", MAIL)
    lab.feed(client.record("udp", 6, "b", application="netify.tiktok", other_port=MAIL))
    client.passes(False, ("udp", 6, "b"))
    eventually(
        lambda: not client.tries("tcp", 6) and not client.tries("udp", 6, MAIL), what="all that the device does is stopped"
    )
    assert client.tries("udp", 4), "another address is another device, as long as nobody says that they are one"


def test_a_block_wins_and_all_else_applies(lab: Lab, client: Client) -> None:
    """Of two actions the second would undo the first; or neither would do anything."""
    targets = {
        "stop": {"target_type": "firewall", "verdict": "drop"},
        "first": {"target_type": "firewall", "set_dscp": "EF"},
        "mine": {"target_type": "firewall", "set_mark": "0x200/0xf00"},
    }
    actions = {
        "a": {"criteria": "app == 'youtube' || app == 'facebook';", "targets": ["first"]},
        "b": {"criteria": "app == 'youtube' || app == 'facebook';", "targets": ["mine"]},
        "c": {"criteria": "app == 'facebook';", "targets": ["stop"]},
    }
    made = config(targets, **actions)
    lab.start(made)
    client.connect("udp", 4, "x")
    lab.feed(client.record("udp", 4, "x"))
    client.net.until(
        lambda entries: [1 for one in entries if one.protocol == "udp" and one.mark == 0x2AE], "EF, its bit and 0x200"
    )
    lab.namespace.run("nft", "-f", "-", text=COUNT)
    client.passes(True, ("udp", 4, "x"))
    assert seen(lab) == {"up": True, "down": True}
    lab.feed(client.record("udp", 4, "x", application="netify.facebook"))
    client.passes(False, ("udp", 4, "x"))
    made["actions"]["c"]["enabled"] = False
    reload(lab, made)
    client.passes(True, ("udp", 4, "x"))
    made["actions"]["a"]["enabled"] = False
    reload(lab, made)
    client.net.until(
        lambda entries: [1 for one in entries if one.protocol == "udp" and one.mark == 0x200], "the class is taken back"
    )


COUNT = """
table inet look {
  chain after { type filter hook forward priority 10;
    ip dscp ef meta mark and 0xf00 == 0x200 iifname lan counter name up
    ip dscp ef meta mark and 0xf00 == 0x200 iifname wan counter name down
  }
  counter up { }
  counter down { }
}
"""


def seen(lab: Lab) -> dict[str, bool]:
    import json

    told = json.loads(lab.namespace.run("nft", "-j", "list", "counters", "table", "inet", "look"))["nftables"]
    return {one["counter"]["name"]: one["counter"]["packets"] > 0 for one in told if "counter" in one}


def test_what_others_delete_is_put_back(lab: Lab, client: Client) -> None:
    """A firewall that restarts, or a curious owner, would set free what is blocked."""
    lab.start(config())
    one = ("udp", 4, "a")
    client.connect(*one)
    client.connect("udp", 4, "mail")
    lab.feed(client.record(*one))
    client.passes(False, one)
    whole = shape(lab)
    lab.namespace.run("nft", "add", "chain", "inet", "nfa", "own")
    lab.namespace.run("nft", "add", "rule", "inet", "nfa", "own", "counter", "comment", "mine")
    for words in (
        "flush table inet nfa",
        "flush chain inet nfa nfa_forward",
        "flush chain inet nfa c0001",
        "flush chain inet nfa t_stop",
        "flush map inet nfa connections.v4",
        "delete table inet nfa",
        "flush ruleset",
    ):
        lab.namespace.attempt("nft", "add", "rule", "inet", "nfa", "own", "counter", "comment", "mine")
        lab.namespace.run("nft", *words.split())
        eventually(lambda: whole <= shape(lab), what=f"whole again after {words}")
        client.passes(False, one)
        client.passes(True, ("udp", 4, "mail"))
        if words in ("flush chain inet nfa c0001", "flush map inet nfa connections.v4"):
            assert shape(lab) >= {"chain own {", 'counter comment "mine"'}, "what is not ours is left alone"
    assert lab.daemon.status()["targets"]["stop"]["errors"] == 0


def shape(lab: Lab) -> set[str]:
    """The lines of our table, without times and counts."""
    import re

    done = lab.namespace.attempt("nft", "list", "table", "inet", "nfa").stdout
    return {re.sub(r"( expires \w+)|( packets \d+ bytes \d+)", "", line).strip() for line in done.splitlines()}


def test_status_and_elements_tell_what_happened_to_packets(lab: Lab, client: Client) -> None:
    """Nobody could see whether a block blocks, or which action it was."""
    made = config(
        {"stop": {"target_type": "firewall", "verdict": "drop"}, "first": {"target_type": "firewall", "set_dscp": "CS1"}},
        films={"criteria": "app == 'youtube';", "targets": ["stop"]},
        chat={"criteria": "app == 'facebook';", "targets": ["first"]},
        games={"criteria": "app == 'tiktok';", "targets": ["stop"]},
    )
    lab.start(made)
    applications = {"a": "netify.youtube", "b": "netify.facebook", "c": "netify.tiktok", "d": "netify.netflix"}
    for name in applications:
        client.connect("udp", 4, name)
    lab.feed(*[client.record("udp", 4, name, application) for name, application in applications.items()])
    for name in applications:
        client.passes(name in "bd", ("udp", 4, name))
    status = lab.daemon.status()
    targets, actions = status["targets"], status["actions"]
    assert targets["stop"]["elements"] == 2 == targets["stop"]["traffic"]["held"] and targets["first"]["traffic"]["held"] == 1
    assert {name: action["traffic"]["held"] for name, action in actions.items()} == {"films": 1, "chat": 1, "games": 1}
    assert [targets[name]["added"] for name in ("stop", "first")] == [2, 2], "a mark counts, too"
    assert targets["stop"]["traffic"]["packets"] == sum(actions[name]["traffic"]["packets"] for name in ("films", "games")) >= 2
    assert targets["stop"]["traffic"]["bytes"] == 29 * targets["stop"]["traffic"]["packets"]
    assert targets["first"]["traffic"]["packets"] >= 2, "both directions"
    rows = {tuple(row["actions"]): row for row in lab.daemon.ask("elements", target="stop")["elements"]}
    assert set(rows) == {("films",), ("games",)}
    port = client.open[("udp", 4, "a")][1]
    assert rows[("films",)]["element"] == f"192.168.1.20 . {port} . udp . 203.0.113.80 . {FILM}"
    assert rows[("films",)]["packets"] == actions["films"]["traffic"]["packets"]
    made["actions"]["films"]["enabled"] = False
    reload(lab, made)
    client.passes(True, ("udp", 4, "a"))
    client.passes(False, ("udp", 4, "c"))
    again = lab.daemon.status()["targets"]["stop"]["traffic"]
    assert lab.daemon.status()["targets"]["stop"]["withdrawn"] == 1
    assert again["held"] == 1 and again["packets"] > targets["stop"]["traffic"]["packets"], "it goes on counting"
    assert re.search(rf"stop +firewall +1 +{again['packets']} +{again['bytes']} ", nfa(lab, "status"))
    assert lab.daemon.ask("flush", target="stop")["withdrawn"] == 1
    client.passes(True, ("udp", 4, "c"))


def test_a_daemon_that_was_killed_leaves_nothing_that_the_next_one_does_not_know(lab: Lab, client: Client) -> None:
    """Chains of an earlier life would pile up, and an element could lead to the chain of another combination."""
    targets = {
        "stop": {"target_type": "firewall", "verdict": "drop"},
        "first": {"target_type": "firewall", "set_dscp": "EF"},
    }
    actions = {
        "films": {"criteria": "app == 'youtube';", "targets": ["stop"]},
        "chat": {"criteria": "app == 'facebook';", "targets": ["first"]},
    }
    lab.start(config(targets, **actions))
    for name in "ab":
        client.connect("udp", 4, name)
    lab.feed(client.record("udp", 4, "a"), client.record("udp", 4, "b", "netify.facebook"))
    client.passes(False, ("udp", 4, "a"))
    lab.daemon.kill()
    client.passes(False, ("udp", 4, "a"))
    lab.start(config(targets, **actions))
    eventually(lambda: "chain c0" not in listed(lab), what="what the killed one left is gone")
    lab.feed(client.record("udp", 4, "b", "netify.facebook"), client.record("udp", 4, "a"))
    client.passes(False, ("udp", 4, "a"))
    client.passes(True, ("udp", 4, "b"))


def test_bedtime_begins_and_ends_for_running_connections(lab: Lab, client: Client) -> None:
    """The film that is on goes on after nine; or what was stopped stays stopped in the morning."""
    clock = Clock(lab.folder, "20:59:59")
    night = {"time_start": "21:00", "time_end": "06:30"}
    made = config(films={"criteria": "app == 'youtube';", "targets": ["stop"], "time_of_day": night})
    lab.start(made | {"timezone": "UTC0"}, clock=clock)
    films = [("udp", 4, "a"), ("udp", 6, "a"), ("tcp", 4, "a")]
    for one in films:
        client.connect(*one)
    lab.feed(*[client.record(*one) for one in films])
    client.passes(True, *films)
    clock.set("21:00:00")
    client.passes(False, *films)
    clock.set("06:30:00")
    client.passes(True, *films[:2])


def test_of_two_classes_the_later_target_wins_in_packets_and_in_the_mark(lab: Lab, client: Client) -> None:
    """The queue on the way out would see one class, and the one on the way in another."""
    targets = {
        "last": {"target_type": "firewall", "set_dscp": "CS1"},
        "first": {"target_type": "firewall", "set_dscp": "EF"},
    }
    actions = {
        "calls": {"criteria": "app == 'youtube';", "targets": ["first"], "priority": 1},
        "rest": {"criteria": "*", "targets": ["last"], "priority": 2},
    }
    lab.start(config(targets, **actions))
    client.connect("udp", 4, "a")
    lab.feed(client.record("udp", 4, "a"))
    client.net.until(lambda entries: [1 for one in entries if one.protocol == "udp" and one.mark == 0xAE], "EF and its bit")
    lab.namespace.run("nft", "-f", "-", text=COUNT.replace("meta mark and 0xf00 == 0x200", ""))
    client.passes(True, ("udp", 4, "a"))
    assert seen(lab) == {"up": True, "down": True}


def test_a_reload_changes_what_becomes_of_running_connections_at_once(lab: Lab, client: Client) -> None:
    """A block that was turned into a limit, given another scope, or deleted would go on until the connection ends."""
    made = config({"stop": {"target_type": "firewall", "verdict": "drop"}})
    lab.start(made)
    ones = [("udp", version, "a") for version in (4, 6)]
    for one in ones:
        client.connect(*one)
    lab.feed(*[client.record(*one) for one in ones])
    client.passes(False, *ones)
    for options, passes, neighbours in (
        ({"limit": "8mbit"}, True, True),
        ({"verdict": "reject", "scope": "server"}, False, False),
        ({"verdict": "drop", "scope": "device"}, False, False),
        ({"set_dscp": "EF"}, True, True),
        ({"verdict": "drop"}, False, True),
    ):
        made["targets"]["stop"] = {"target_type": "firewall", **options}
        reload(lab, made)
        client.passes(passes, *ones)
        for version in (4, 6):
            eventually(lambda v=version, n=neighbours: client.tries("udp", v) is n, what=f"{options}, another connection")  # type: ignore[misc]
    del made["actions"]["films"]["targets"][0], made["targets"]["stop"]
    made["targets"]["other"] = {"target_type": "firewall", "set_dscp": "EF"}
    made["actions"]["films"]["targets"] = ["other"]
    reload(lab, made)
    client.passes(True, *ones)


def test_what_is_off_reaches_nobody_also_where_no_record_was_kept(lab: Lab, client: Client) -> None:
    """Of more flows than there is room for records, some would stay blocked by an action that is off."""
    made = config()
    lab.start(made)
    one = ("udp", 4, "a")
    client.connect(*one)
    lab.feed(client.record(*one))
    client.passes(False, one)
    url = {"http": {"url": "x" * 4000, "user_agent": ""}}
    others = [flow("HTTP/S", "netify.facebook", local="192.168.1.77", local_port=1024 + n, **url) for n in range(400)]
    status = lab.feed(*others)
    assert status["flows"]["kept"] < 400, "the record of the blocked one gave way to others"
    client.passes(False, one)
    made["actions"]["films"]["enabled"] = False
    made["actions"]["rest"] = {"criteria": "app == 'netflix';", "targets": ["stop"]}
    reload(lab, made)
    client.passes(True, one)


def test_other_criteria_let_go_of_what_no_record_or_no_flow_tells(lab: Lab, client: Client) -> None:
    """What the old criteria blocked would stay blocked: connections whose records gave way to others, and learnt servers."""
    targets = {
        "stop": {"target_type": "firewall", "verdict": "drop"},
        "far": {"target_type": "firewall", "verdict": "drop", "scope": "server"},
    }
    made = config(
        targets,
        films={"criteria": "app == 'youtube';", "targets": ["stop"]},
        chat={"criteria": "app == 'tiktok';", "targets": ["far"]},
    )
    lab.start(made)
    one, learnt = ("udp", 4, "a"), ("udp", 6, "b")
    client.connect(*one)
    client.connect(*learnt)
    record = client.record(*learnt, application="netify.tiktok")
    lab.feed(client.record(*one), record, purge(record["flow"]["digest"]))
    url = {"http": {"url": "x" * 4000, "user_agent": ""}}
    lab.feed(*[flow("HTTP/S", "netify.facebook", local="192.168.1.77", local_port=1024 + n, **url) for n in range(400)])
    client.passes(False, one)
    eventually(lambda: not client.tries("udp", 6), what="the server is learnt")
    made["actions"]["films"]["criteria"] = "app == 'netflix';"
    made["actions"]["chat"]["criteria"] = "app == 'reddit';"
    reload(lab, made)
    client.passes(True, one)
    eventually(lambda: client.tries("udp", 6), what="the server of the old criteria is forgotten")


OLDER = """
add table inet nfa
add map inet nfa connections.v4 { type ipv4_addr . inet_service . inet_proto . ipv4_addr . inet_service : verdict; }
add map inet nfa combinations { type mark : verdict; }
add chain inet nfa t_stop
add rule inet nfa t_stop drop
add chain inet nfa c0001 { counter; }
add chain inet nfa c0002 { counter; }
add rule inet nfa c0001 jump t_stop
add rule inet nfa c0002 jump t_stop
add element inet nfa connections.v4 { 192.168.1.20 . 1 . udp . 203.0.113.80 . 443 : jump c0001 }
add element inet nfa combinations { 1 : jump c0002 }
add chain inet nfa nfa_forward { type filter hook forward priority filter - 1; }
add rule inet nfa nfa_forward ip saddr . th sport . meta l4proto . ip daddr . th dport vmap @connections.v4
"""
"""A table in which the maps lead to verdicts, and the numbers of combinations elsewhere."""


def test_the_table_of_another_version_is_replaced(lab: Lab, client: Client) -> None:
    """After an upgrade of a daemon that was killed nothing would be blocked, until somebody deletes its table."""
    lab.namespace.nft(*OLDER.strip().splitlines())
    lab.start(config())
    client.connect("udp", 4, "a")
    lab.feed(client.record("udp", 4, "a"))
    client.passes(False, ("udp", 4, "a"))
    assert "0x00000001 : goto c0001" in listed(lab)
    eventually(lambda: "c0002" not in listed(lab), what="what the other one left is gone")
    assert lab.daemon.stop() == 0
    assert "table inet nfa" not in listed(lab)


def test_what_nft_lists_it_also_loads(lab: Lab, client: Client) -> None:
    """People save `nft list ruleset`, and load that when the router starts: one rule that nft does not read, and there is no
    firewall at all. And what was loaded so is the daemon's again once it has a connection to hold."""
    lab.start(config())
    client.connect("udp", 4, "a")
    lab.feed(client.record("udp", 4, "a"))
    client.passes(False, ("udp", 4, "a"))
    saved = listed(lab)
    assert "vmap @combinations" in lab.namespace.run("nft", "list", "ruleset")
    assert "combinations" in lab.namespace.run("nft", "-j", "list", "ruleset")
    lab.daemon.kill()
    lab.namespace.run("nft", "-f", "-", text="flush ruleset\n" + saved)
    client.passes(False, ("udp", 4, "a"))
    lab.start(config())
    client.connect("udp", 4, "b")
    lab.feed(client.record("udp", 4, "b"))
    client.passes(False, ("udp", 4, "b"))
    assert lab.daemon.stop() == 0
    client.passes(True, ("udp", 4, "a"), ("udp", 4, "b"))
    assert "table inet nfa" not in listed(lab)


def test_another_scope_lets_go_of_what_comes_after_it(lab: Lab, client: Client) -> None:
    """A class for one connection becomes one for the whole device, and from then on nothing that the device does is blocked."""

    def made(scope: str) -> dict[str, Any]:
        targets = {
            "first": {"target_type": "firewall", "set_dscp": "EF", "scope": scope},
            "stop": {"target_type": "firewall", "verdict": "drop"},
            "mine": {"target_type": "firewall", "set_mark": "0x200/0xf00", "scope": "device"},
        }
        actions = {
            "films": {"criteria": "app == 'youtube';", "targets": ["first"]},
            "chat": {"criteria": "app == 'facebook';", "targets": ["stop"]},
            "other": {"criteria": "app == 'tiktok';", "targets": ["mine"]},
        }
        return config(targets, **actions)

    lab.start(made("connection"))
    for name in "ab":
        client.connect("udp", 4, name)
    lab.feed(client.record("udp", 4, "a"))
    eventually(lambda: "0x00000001 : goto c0001" in listed(lab), what="nothing comes after a connection")
    reload(lab, made("device"))
    lab.feed(client.record("udp", 4, "a"), client.record("udp", 4, "b", "netify.facebook"))
    client.passes(False, ("udp", 4, "b"))
    client.passes(True, ("udp", 4, "a"))
    assert "0x00000001 : jump c0001" in listed(lab)
