"""Rules of one's own on packets: policies and rules as docs/own-rules.md prints them, all in one configuration.

The rules are there before the daemon, as at boot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from household_lab import Household, alive, household
from kernel_lab import Lab, Namespace, private_namespace
from kitchen_lab import FOREIGN, NETFLIX, VPN, ZOOM, Kitchen, cooking, lively, macs, stopped
from recipe_pages import recipes
from waiting import eventually

pytestmark = pytest.mark.kernel

PAGE = recipes("own-rules.md").values()


@pytest.fixture(scope="module")
def router(kernel: None) -> Iterator[Namespace]:
    with private_namespace() as made:
        yield made


@pytest.fixture(scope="module")
def home(router: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(router, tmp_path_factory.mktemp("home"), macs(PAGE)) as made:
        yield made


@pytest.fixture
def kitchen(request: pytest.FixtureRequest, router: Namespace, home: Household, tmp_path: Path) -> Iterator[Kitchen]:
    with cooking(Lab(router, tmp_path), home, getattr(request, "param", "uci")) as made:
        made.cook(PAGE)
        yield made


@pytest.mark.parametrize("kitchen", ["uci", "json"], indirect=True)
def test_sets_and_marks_work_with_the_rules_of_the_page(kitchen: Kitchen) -> None:
    """Who writes rules himself has sets that fill, and packets that pass."""
    home = kitchen.home
    films, visitor = home.every("tom_laptop", "film"), home.every("visitor", "film")
    calls, tunnels = home.every("visitor", "call"), home.every("visitor", "other", ["udp"])
    kitchen.tell(NETFLIX, *films, *visitor)
    kitchen.tell(ZOOM, *calls)
    kitchen.tell(VPN, *tunnels)
    eventually(lambda: home.marks(calls) == {0xB9000000 | FOREIGN}, what="the class, and others' bits")
    assert all(side["ef"] == sum(side.values()) >= 20 for side in kitchen.arrived(calls)), "every packet, on both devices"
    lively(*films, *visitor, *tunnels)
    listed = json.loads(home.router.run("nft", "-j", "list", "chain", "inet", "office", "vpn"))["nftables"]
    rules = [part for entry in listed if "rule" in entry for part in entry["rule"]["expr"]]
    counts = [part["counter"]["packets"] for part in rules if "counter" in part]
    assert len(counts) == 2 and all(counts)
    kitchen.clock.set("21:00:00")
    eventually(lambda: stopped(films), what="nine o'clock")
    lively(*visitor)
    kitchen.clock.set("06:30:00")
    eventually(lambda: [one.kind for one in alive(films)] == ["udp", "udp"], what="the morning")
    kitchen.stop()
    assert home.marks(calls) == {FOREIGN}, "off is off"


def test_new_connections_take_another_wan_by_rules(kitchen: Kitchen) -> None:
    """Who has written these rules has them still."""
    home = kitchen.home
    first = home.every("visitor", "series")
    kitchen.tell(NETFLIX, *first)
    second = home.every("visitor", "series")
    assert (home.wans(first), home.wans(second)) == ({"wan"}, {"wan2"})
    home.down("wan2")
    assert home.wans(home.every("visitor", "series")) == {"wan"}
    home.up("wan2", *kitchen.tables)
    lively(*first)


def test_rules_and_elements_survive_the_firewall(kitchen: Kitchen) -> None:
    """At boot the whole file was refused, after a restart the rules were gone: films played, and status said "on"."""
    home, namespace = kitchen.home, kitchen.lab.namespace
    kitchen.clock.set("21:00:00")
    films = home.every("tom_laptop", "film")
    kitchen.tell(NETFLIX, *films)
    eventually(lambda: stopped(films))
    for deed in ("list tables", "delete table inet fw4", "flush ruleset"):
        namespace.nft(deed)
        kitchen.firewall()
        eventually(lambda: len(namespace.nft_set("nfa bedtime.v6").keys) == 2, what="the elements are back")
        assert stopped(films)
        rules = namespace.run("nft", "list", "chain", "inet", "nfa", "bedtime")
        assert rules.count("@bedtime") == 4, "each rule is there once"


def test_check_tells_when_no_rule_uses_the_sets_of_the_page(kitchen: Kitchen) -> None:
    """Films played because the rules were gone, and nothing anywhere said so."""
    lab = kitchen.lab

    def unused() -> int:
        done = lab.namespace.attempt(*lab.nfa("check", "--json", "-u", str(lab.folder), "--state-dir", str(lab.folder)))
        return sum(one["code"] == "set-unused" for one in json.loads(done.stdout)["reports"])

    assert unused() == 0
    lab.namespace.nft("flush table inet nfa", "flush table inet office")
    assert unused() == 6
    kitchen.firewall()
    assert unused() == 0
