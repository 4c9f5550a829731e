"""Off is off, on is on: what a policy does begins and ends with it, for every type of target, on a real kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_lab import Lab, Namespace, ipset, nftset
from netifyd_records import purge
from network_lab import AWAY, HOME, Network, network
from samples import flow, stats
from waiting import eventually

pytestmark = pytest.mark.kernel

FOUR: dict[str, Any] = {"set_family": "ipv4", "ttl": 600}
SETS = {"n": nftset("block", "other_addr", **FOUR), "i": ipset("block", **FOUR)}
BLOCK = {"criteria": "app == 'youtube';", "targets": ["n", "i"], "priority": 5}
FILM = "203.0.113.1"


def config(**actions: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "actions": actions, "targets": json.loads(json.dumps(SETS))}


def film(number: int = 1, **more: Any) -> dict[str, Any]:
    return flow("QUIC", "netify.youtube", other=f"203.0.113.{number}", **more)


def keys(lab: Lab) -> tuple[set[Any], set[str]]:
    """What the nftables set and the ipset hold, as addresses."""
    return {key[0] for key in lab.namespace.nft_set("nfa block.v4").keys}, lab.namespace.ipset("block.v4").keys


def blocked(lab: Lab, *addresses: str) -> None:
    eventually(lambda: keys(lab) == (set(addresses), set(addresses)), what=f"exactly {addresses} are blocked")


def reload(lab: Lab, made: dict[str, Any]) -> dict[str, Any]:
    lab.daemon.configure(made)
    return lab.daemon.ask("reload")


def without_action(made: dict[str, Any]) -> None:
    del made["actions"]["block"]


def disabled(made: dict[str, Any]) -> None:
    made["actions"]["block"]["enabled"] = False


def other_criteria(made: dict[str, Any]) -> None:
    made["actions"]["block"]["criteria"] = "app == 'netflix';"


def exempt(made: dict[str, Any]) -> None:
    made["actions"]["block"]["exemptions"] = [FILM]


def exempt_from_all(made: dict[str, Any]) -> None:
    made["exemptions"] = ["192.168.1.0/24"]


def allowed_first(made: dict[str, Any]) -> None:
    made["actions"]["allow"] = {"criteria": f"other_ip == {FILM};", "targets": [], "priority": 1, "halt_on_match": True}
    made["actions"]["allow"]["targets"] = ["log"]
    made["targets"]["log"] = {"target_type": "log", "path": "/tmp"}


def targets_disabled(made: dict[str, Any]) -> None:
    for target in made["targets"].values():
        target["target_enabled"] = False


def targets_deleted(made: dict[str, Any]) -> None:
    made["targets"] = {"log": {"target_type": "log", "path": "/tmp"}}
    made["actions"]["block"]["targets"] = ["log"]


def types_changed(made: dict[str, Any]) -> None:
    for name in SETS:
        made["targets"][name] = {"target_type": "log", "path": "/tmp"}


OFF = (
    without_action, disabled, other_criteria, exempt, exempt_from_all, allowed_first,
    targets_disabled, targets_deleted, types_changed,
)  # fmt: skip


PARTLY = (exempt, allowed_first)
"""What ends for one of the two films only."""


@pytest.mark.parametrize("off", OFF)
def test_what_a_reload_no_longer_says_ends_at_once(lab: Lab, off: Any) -> None:
    """The tablet stays blocked by a policy that is gone, for minutes or for as long as it goes on trying."""
    made = config(block=dict(BLOCK))
    lab.start(made)
    ended = film(2)
    lab.feed(film(), ended, purge(ended["flow"]["digest"]))
    blocked(lab, FILM, "203.0.113.2")
    off(made)
    reload(lab, made)
    # What no flow holds any longer would last for the rest of its time: nobody can say whether it has a cause still.
    blocked(lab)
    other = film(3)
    lab.feed(film(), stats(film()["flow"]["digest"]), other)
    blocked(lab, *(["203.0.113.3"] if off in PARTLY else []))


@pytest.mark.parametrize("off", [disabled, targets_deleted])
def test_off_does_not_wait_for_reprocess_flows(lab: Lab, off: Any) -> None:
    """Netify's option is about what begins: nobody who switches a block off means that it goes on."""
    made = config(block=dict(BLOCK)) | {"reprocess_flows": False}
    lab.start(made)
    lab.feed(film())
    blocked(lab, FILM)
    off(made)
    reload(lab, made)
    blocked(lab)


def test_what_a_reload_changes_elsewhere_goes_on(lab: Lab) -> None:
    """Adding a rule for the guests would unblock the tablet for a moment, and its film load ahead."""
    made = config(block=dict(BLOCK))
    lab.start(made)
    ended = film(2)
    lab.feed(film(), ended, purge(ended["flow"]["digest"]))
    made["actions"]["more"] = {"criteria": "app == 'netflix';", "targets": ["log"]}
    made["targets"]["log"] = {"target_type": "log", "path": str(lab.folder)}
    reload(lab, made)
    status = lab.feed(film(3))
    assert status["policy"]["generation"] == 2
    assert (status["targets"]["n"]["withdrawn"], status["targets"]["n"]["added"]) == (0, 3), "nothing went and came back"
    blocked(lab, FILM, "203.0.113.2", "203.0.113.3")


def test_on_is_on_for_what_runs_already(lab: Lab) -> None:
    """netifyd does not repeat what it has said: the film that plays would never be blocked."""
    made = config(block=BLOCK | {"enabled": False})
    lab.start(made)
    lab.feed(film(), flow("DNS", other="203.0.113.53"))
    made["actions"]["block"]["enabled"] = True
    assert reload(lab, made)["warnings"] == 0
    blocked(lab, FILM)


def test_with_reprocess_flows_off_what_begins_waits_for_the_next_record(lab: Lab) -> None:
    """Netify's configurations that say so would act on flows that they leave alone today."""
    made = config(block=BLOCK | {"enabled": False}) | {"reprocess_flows": False}
    lab.start(made)
    lab.feed(film())
    made["actions"]["block"]["enabled"] = True
    reload(lab, made)
    lab.feed(film(2))
    blocked(lab, "203.0.113.2")
    lab.feed(film())
    blocked(lab, FILM, "203.0.113.2")


def test_what_the_daemon_did_ends_with_it(lab: Lab) -> None:
    """`service nfa stop`, and YouTube stays blocked with nobody there who could say why. What the administrator put into a
    set of their own stays."""
    lab.namespace.nft("add table inet fw4", "add set inet fw4 mine { type ipv4_addr; flags timeout; }")
    lab.namespace.nft("add element inet fw4 mine { 192.0.2.9 }")
    made = config(block=BLOCK | {"targets": ["n", "i", "m"]})
    made["targets"]["m"] = nftset("mine", "other_addr", managed=False, table_name="fw4", suffix_v4="", **FOUR)
    lab.start(made)
    lab.feed(film(), *[film(number) for number in range(2, 30)])
    assert len(lab.namespace.nft_set("fw4 mine").keys) == 30
    assert lab.daemon.stop() == 0
    assert keys(lab) == (set(), set())
    assert lab.namespace.nft_set("fw4 mine").keys == {("192.0.2.9",)}


def test_a_restart_goes_on_with_the_flows_that_it_knew(lab: Lab) -> None:
    """An upgrade would set free what is blocked: netifyd does not repeat what it has said."""
    made = config(block=dict(BLOCK))
    lab.start(made)
    ended = film(3)
    lab.feed(film(), flow("DNS", other="203.0.113.53"), film(2), ended, purge(ended["flow"]["digest"]))
    assert lab.daemon.stop() == 0
    assert keys(lab) == (set(), set())
    lab.start(made)
    blocked(lab, FILM, "203.0.113.2")
    assert lab.daemon.said("notice", "going on with 3 live flows")
    assert not (lab.folder / "flows").exists(), "it is read once"
    lab.feed(purge(film()["flow"]["digest"]))
    assert lab.daemon.stop() == 0
    lab.start(config(block=BLOCK | {"enabled": False}))
    assert keys(lab) == (set(), set()), "the policy of now decides"


@pytest.mark.parametrize(
    "left", [b"", b"nfa flows 1\n\xff\xff\xff\xff", b"nfa flows 1\n\0\0\0\4abcd" * 9, b"nfa flows 2\n", b"x" * (3 << 20)]
)
def test_what_another_left_in_that_place_is_no_record(lab: Lab, left: bytes) -> None:
    """A damaged file would keep the daemon from starting."""
    (lab.folder / "flows").write_bytes(left)
    lab.start(config(block=dict(BLOCK)))
    lab.feed(film())
    blocked(lab, FILM)
    assert not lab.daemon.said("fault")


def test_what_a_killed_daemon_left_ends_with_the_policy(lab: Lab) -> None:
    """After a crash nobody knows what is in the set: switched off, it would block for the rest of ten minutes."""
    made = config(block=dict(BLOCK))
    daemon = lab.start(made)
    lab.feed(film())
    daemon.kill()
    lab.start(made)
    lab.feed(film(2))
    blocked(lab, FILM, "203.0.113.2")
    disabled(made)
    reload(lab, made)
    blocked(lab)


def test_ten_thousand_elements_end_with_their_action(lab: Lab) -> None:
    """A large block would be switched off one film at a time."""
    made = config(block=dict(BLOCK))
    lab.start(made)
    films = [flow("QUIC", "netify.youtube", other=f"198.18.{n >> 8}.{n & 255}") for n in range(10_000)]
    for start in range(0, len(films), 1000):
        lab.feed(*films[start : start + 1000])
    disabled(made)
    reload(lab, made)
    blocked(lab)
    # There is no room for all of their records: who switches it on again hears of that.
    made["actions"]["block"]["enabled"] = True
    (report,) = reload(lab, made)["reports"]
    assert report["code"] == "flows-not-remembered" and "for lack of room" in report["message"]


def test_a_pause_takes_back_what_was_done_and_ends_by_itself(lab: Lab) -> None:
    """Half an hour more: the owner would have to switch the block off, and to think of switching it on again."""
    made = config(block=dict(BLOCK), other={"criteria": "app == 'netflix';", "targets": ["n", "i"]})
    daemon = lab.start(made)
    netflix = flow("QUIC", "netify.netflix", other="203.0.113.99")
    lab.feed(film(), netflix)
    nfa = lambda *words: lab.namespace.run(*lab.nfa(*words[:1], "--control", str(daemon.control), *words[1:]))  # noqa: E731
    assert nfa("pause", "block", "30m").startswith("block: paused until ")
    blocked(lab, "203.0.113.99")
    lab.feed(film(2))
    reload(lab, made | {"max_flows": 4096})
    lab.feed(film(3))
    blocked(lab, "203.0.113.99")
    status = daemon.status()
    assert [one["name"] for one in status["paused"]] == ["block"]
    assert status["actions"]["block"]["paused_until"] > status["time"] + 1700 and not status["actions"]["other"]["paused_until"]
    assert nfa("resume", "block") == "block: resumed\n"
    blocked(lab, FILM, "203.0.113.2", "203.0.113.3", "203.0.113.99")
    nfa("pause", "n", "1h")
    eventually(lambda: keys(lab)[0] == set() and len(keys(lab)[1]) == 4, what="a target alone is paused")
    nfa("resume", "all")
    blocked(lab, FILM, "203.0.113.2", "203.0.113.3", "203.0.113.99")
    nfa("pause", "all", "1s")
    eventually(lambda: daemon.said("notice", "everything resumed"), what="the pause has ended by itself")
    blocked(lab, FILM, "203.0.113.2", "203.0.113.3", "203.0.113.99")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("pause", "blok", "30m"), "no such action or target: 'blok'; known: block, n, i"),
        (("pause", "block", "30"), "'30' is no duration: write a number with its unit, as 90s, 30m, 1h30m or 1d"),
        (("pause", "block", "30d"), "a pause lasts from 1 second to 7 days"),
        (("resume", "block"), "block: was not paused"),
    ],
)
def test_a_pause_that_cannot_be_says_why(lab: Lab, words: tuple[str, ...], answer: str) -> None:
    daemon = lab.start(config(block=dict(BLOCK)))
    done = lab.namespace.attempt(*lab.nfa(*words, "--control", str(daemon.control)))
    assert answer in done.stdout + done.stderr


GUARD = """
add table inet guard
add set inet guard block.v4 { type ipv4_addr . ipv4_addr; flags timeout; }
add set inet guard block.v6 { type ipv6_addr . ipv6_addr; flags timeout; }
add chain inet guard forward { type filter hook forward priority 0; }
add rule inet guard forward ip saddr . ip daddr @block.v4 drop
add rule inet guard forward ip6 saddr . ip6 daddr @block.v6 drop
"""


@pytest.fixture
def net(lab: Lab, namespace: Namespace, tmp_path: Path) -> Iterator[Network]:
    """A client behind a router, and a server in the world."""
    with network(namespace, tmp_path, {}) as made:
        namespace.run("nft", "-f", "-", text=GUARD)
        for version in (4, 6):
            made.away.do("serve", "udp", version, 4000)
        yield made


def test_a_client_behind_the_router_sees_each_end_and_each_beginning(lab: Lab, net: Network) -> None:
    """A set that is right, and a tablet that is blocked all the same, or not at all."""
    blocks = {"t": nftset("block", "local_addr", "other_addr", table_name="guard", managed=False, ttl=600)}
    made: dict[str, Any] = {"version": 1, "actions": {"block": BLOCK | {"targets": ["t"]}}, "targets": blocks}
    lab.start(made)
    indexes = {version: net.home.do("open", "udp", version, AWAY[version], 4000)[0] for version in (4, 6)}

    def passes(wanted: bool) -> None:
        for version, index in indexes.items():
            eventually(
                lambda index=index: net.home.do("talk", index, 0.3) is wanted,  # type: ignore[misc]
                what=f"IPv{version} {'passes' if wanted else 'is stopped'}",
            )

    lab.feed(*[flow("QUIC", "netify.youtube", local=HOME[v], other=AWAY[v], other_port=4000) for v in (4, 6)])
    passes(False)
    nfa = lambda *words: lab.namespace.run(*lab.nfa(words[0], "--control", str(lab.daemon.control), *words[1:]))  # noqa: E731
    nfa("pause", "block", "1h")
    passes(True)
    nfa("resume", "block")
    passes(False)
    made["actions"]["block"]["enabled"] = False
    reload(lab, made)
    passes(True)
    made["actions"]["block"]["enabled"] = True
    reload(lab, made)
    passes(False)
    assert lab.daemon.stop() == 0
    passes(True)
    lab.start(made)
    passes(False)
    made["targets"]["t"]["target_enabled"] = False
    reload(lab, made)
    passes(True)
