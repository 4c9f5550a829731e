"""The recipes on packets: policies as docs/recipes.md prints them, each alone and all in one configuration, in UCI and in JSON.

Real TCP and UDP over IPv4 and IPv6, through a router whose firewall accepts what is established. Queues are not tested: marks
and DSCP are, of packets as they arrive behind the WAN's device and behind the LAN's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from household_lab import DEVICES, SERVERS, Household, alive, household
from kernel_lab import Lab, Namespace, private_namespace
from kitchen_lab import (
    BITTORRENT,
    CONSOLE,
    FLOOD,
    FOREIGN,
    INSTAGRAM,
    MAIL,
    NETFLIX,
    OLD_TLS,
    REDDIT,
    UPDATE,
    VPN,
    YOUTUBE,
    ZOOM,
    Kitchen,
    cooking,
    flooded,
    lively,
    macs,
    stopped,
)
from recipe_pages import ROOT, first_policy, recipes, uci_set
from waiting import eventually

pytestmark = pytest.mark.kernel

RECIPES = recipes()
EF, CS1 = 128 | 46, 128 | 8
"""Classes in the mark, as `tc ... action ctinfo dscp 63 128` takes them from there before any rule."""


@pytest.fixture(scope="module")
def router(kernel: None) -> Iterator[Namespace]:
    with private_namespace() as made:
        yield made


@pytest.fixture(scope="module")
def home(router: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """One household for all tests: what takes time is to set it up."""
    with household(router, tmp_path_factory.mktemp("home"), macs(RECIPES.values())) as made:
        yield made


@pytest.fixture
def kitchen(request: pytest.FixtureRequest, router: Namespace, home: Household, tmp_path: Path) -> Iterator[Kitchen]:
    with cooking(Lab(router, tmp_path), home, getattr(request, "param", "uci")) as made:
        yield made


# -- what a person sees of each recipe -------------------------------------------------------------------------------------


def youtube(kitchen: Kitchen) -> None:
    """A tablet that was named by its IPv4 address played over IPv6; Google's mail went with it, which has the same servers."""
    home = kitchen.home
    videos, mail, visitor = (home.every(who, "video") for who in ("ana_tablet", "ana_tablet", "visitor"))
    kitchen.tell(YOUTUBE, *videos, *visitor)
    kitchen.tell(MAIL, *mail)
    assert stopped(videos), "TCP and UDP, IPv4 and IPv6"
    lively(*mail, *visitor)
    assert home.pings("ana_tablet", "video") == {4, 6}


def bedtime(kitchen: Kitchen) -> None:
    """At nine the film played on; or in the morning what begins was stopped still."""
    home = kitchen.home
    films, visitor = home.every("tom_laptop", "film"), home.every("visitor", "film")
    kitchen.tell(NETFLIX, *films, *visitor)
    lively(*films, *visitor)
    kitchen.clock.set("21:00:00")
    eventually(lambda: stopped(films), what="nine o'clock")
    lively(*visitor)
    kitchen.clock.set("06:30:00")
    udp = [connection for connection in films if connection.kind == "udp"]
    eventually(lambda: len(alive(udp)) == 2, what="the morning: UDP goes on, as the page says")
    assert [connection.kind for connection in alive(films)] == ["udp", "udp"], "TCP was reset"
    lively(*home.every("tom_laptop", "film"))


def console(kitchen: Kitchen) -> None:
    """What the console begins after eight got some packets through, until netifyd had recognised it."""
    home = kitchen.home
    games, visitor = home.every("console", "other"), home.every("visitor", "other")
    kitchen.tell({}, *games, *visitor)
    lively(*games, *visitor)
    kitchen.clock.set("20:00:00")
    eventually(lambda: stopped(games), what="eight o'clock")
    assert not home.reaches("console", "video", 0.3), "what is new neither, from its first packet"
    assert not home.pings("console", "video", 0.3)
    lively(*visitor)
    kitchen.clock.set("07:00:00")
    eventually(lambda: len(alive(games)) == 4, what="the morning")
    assert home.pings("console", "video") == {4, 6}
    assert len(home.reaches("console", "video", 5)) == 4


def zoom(kitchen: Kitchen) -> None:
    """Downloads had no class; others' bits of the mark were lost."""
    home = kitchen.home
    calls, swarm, plain = (home.every("visitor", server) for server in ("call", "swarm", "other"))
    kitchen.tell(ZOOM, *calls)
    kitchen.tell(BITTORRENT, *swarm)
    eventually(lambda: home.marks(calls) == {EF | FOREIGN}, what="class, and others' bits")
    eventually(lambda: home.marks(swarm) == {CS1 | FOREIGN}, what="class, and others' bits")
    assert home.marks(plain) == {FOREIGN}
    for connections, name in ((calls, "ef"), (swarm, "cs1"), (plain, "plain")):
        for side in kitchen.arrived(connections):
            assert side[name] >= 20 and sum(side.values()) == side[name], "every packet, on both devices"
    assert kitchen.counted("lost") == 0

    def gone() -> None:
        assert home.marks([*calls, *swarm]) == {FOREIGN}, "off is off"

    kitchen.afterwards.append(gone)


def updates(kitchen: Kitchen) -> None:
    """The limit was for all together, or for what is no update too."""
    home = kitchen.home
    some = {name: home.open(name, "other", "udp", 4) for name in ("visitor", "tom_laptop")}
    other, six = home.open("visitor", "other", "udp", 4), home.open("visitor", "other", "udp", 6)
    kitchen.tell(UPDATE, *some.values(), six)
    for connection in (*some.values(), six):
        assert 0.2 * FLOOD < flooded(connection) < 0.7 * FLOOD, "a second's worth passes at once, for each address"
    assert flooded(other) > 0.9 * FLOOD
    lively(*some.values())


def weak_tls(kitchen: Kitchen) -> None:
    """The printer was exempt over IPv4 and reset over IPv6; a program tried again and again, and got some packets through."""
    home = kitchen.home
    printer, visitor = (home.every(name, "old", ["tcp"]) for name in ("printer", "visitor"))
    modern = home.every("visitor", "other", ["tcp"])
    kitchen.tell(OLD_TLS, *printer, *visitor)
    assert stopped(visitor)
    assert not home.reaches("visitor", "old", kinds=["tcp"]), "later connections to this server neither"
    lively(*printer, *modern, *home.every("visitor", "old", ["udp"]))
    assert len(home.reaches("printer", "old", 5, ["tcp"])) == 2


def log(kitchen: Kitchen) -> None:
    """An entry for each family; nothing else is touched."""
    home = kitchen.home
    talks = home.every("camera", "other", ["tcp"])
    kitchen.tell({}, *talks, *home.every("visitor", "other", ["tcp"]))
    lively(*talks)

    def written() -> None:
        entries = [entry for file in kitchen.logs.glob("camera-*.json") for entry in json.loads(file.read_text())["entries"]]
        assert {entry["src_addr"] for entry in entries} == {home.local("camera", 4), home.local("camera", 6)}

    kitchen.afterwards.append(written)


def social(kitchen: Kitchen) -> None:
    """Reddit was stopped with the others where it uses their servers."""
    home = kitchen.home
    others, reddit = home.every("visitor", "social"), home.every("visitor", "social")
    kitchen.tell(INSTAGRAM, *others)
    kitchen.tell(REDDIT, *reddit)
    assert stopped(others)
    lively(*reddit)
    kitchen.afterwards.append(lambda: lively(*[connection for connection in others if connection.kind == "udp"]))


def games(kitchen: Kitchen) -> None:
    """A name that only a file of the folder has was not stopped."""
    home = kitchen.home
    play, other = home.every("visitor", "game"), home.every("visitor", "game")
    kitchen.tell(CONSOLE, *play)
    kitchen.tell({}, *other)
    assert stopped(play)
    lively(*other)


def router_downloads(kitchen: Kitchen) -> None:
    """The limit met what the router forwards; or the router's own DNS, or its log-in."""
    home = kitchen.home
    own = [home.open_itself("swarm", "udp", version) for version in (4, 6)]
    device = home.open("visitor", "swarm", "udp", 4)
    kitchen.tell(BITTORRENT, *own, device)
    assert 0.1 * FLOOD < sum([flooded(connection) for connection in own]) < 0.4 * FLOOD, "a second's worth, for both together"
    assert flooded(device) > 0.9 * FLOOD
    lively(home.open_itself("swarm", "tcp", 4))


def netflix(kitchen: Kitchen) -> None:
    """Over IPv6 it went through WAN 1, and after WAN 2 had been down its route was gone."""
    home = kitchen.home
    first = home.every("visitor", "series")
    assert home.wans(first) == {"wan"}
    kitchen.tell(NETFLIX, *first)
    eventually(lambda: home.wans(home.every("visitor", "series")) == {"wan2"}, what="TCP and UDP, IPv4 and IPv6")
    second, other = home.every("visitor", "series"), home.every("visitor", "other")
    assert home.wans(second) == {"wan2"}
    assert home.wans(other) == {"wan"}
    lively(*first, *second, *other)
    home.down("wan2")
    third = eventually(lambda: home.reaches("visitor", "series") and home.every("visitor", "series"))
    assert home.wans(third) == {"wan"}, "no line is left without Netflix"
    home.up("wan2", *kitchen.tables)
    lively(*third)
    assert home.wans(third) == {"wan"}, "they stay on the WAN that they began on"
    eventually(lambda: home.wans(home.every("visitor", "series")) == {"wan2"}, what="WAN 2 is back")


def vpn(kitchen: Kitchen) -> None:
    """Others' marks were lost, or a queue that sorts by marks saw none."""
    home = kitchen.home
    tunnels, other = home.every("visitor", "other", ["udp"]), home.every("visitor", "other", ["udp"])
    kitchen.tell(VPN, *tunnels)
    eventually(lambda: home.marks(tunnels) == {0x1000000 | FOREIGN}, what="the mark, and others' bits")
    before = kitchen.counted("vpn")
    lively(*tunnels, *other)
    assert kitchen.counted("vpn") - before == 4, "each packet has it, there and back, and no other packet"
    assert home.marks(other) == {FOREIGN} and kitchen.counted("lost") == 0


STORIES: dict[str, Callable[[Kitchen], None]] = {
    "No YouTube on the tablets": youtube,
    "Nothing at all on the console after eight": console,
    "Bedtime: no films on the laptop from nine to half past six": bedtime,
    "Zoom first, BitTorrent last": zoom,
    "Updates slowly": updates,
    "Block weak TLS, but not for the printer": weak_tls,
    "Log what a device does": log,
    "Social media, except one": social,
    "A list of games in a folder": games,
    "The router's own downloads, slowly": router_downloads,
    "A mark for your own shaping": vpn,
    "Netflix through WAN 2": netflix,
}
"""By the headings of the page; in the order in which they are told when all are in one configuration."""


@pytest.mark.parametrize("title", STORIES)
@pytest.mark.parametrize("kitchen", ["uci", "json"], indirect=True)
def test_a_recipe_alone_does_to_packets_what_the_page_says(kitchen: Kitchen, title: str) -> None:
    """Who copies it has a policy that is green in status, and packets that pass as before."""
    kitchen.cook([RECIPES[title]])
    STORIES[title](kitchen)
    kitchen.stop()


@pytest.mark.parametrize("kitchen", ["uci", "json"], indirect=True)
def test_all_recipes_together_do_to_packets_what_the_page_says(kitchen: Kitchen) -> None:
    """Two recipes in one configuration would undo each other: an element of one, a mark or a rule of the other."""
    kitchen.cook(RECIPES.values())
    for story in STORIES.values():
        story(kitchen)
    kitchen.stop()


def test_a_class_is_withdrawn_from_a_connection_that_is_something_else(kitchen: Kitchen) -> None:
    """What a connection was taken for by mistake it kept: the rule's mark stayed."""
    home = kitchen.home
    kitchen.cook([RECIPES["Zoom first, BitTorrent last"]])
    both = home.every("visitor", "call")
    kitchen.tell(ZOOM, *both)
    eventually(lambda: home.marks(both) == {EF | FOREIGN})
    kitchen.tell(BITTORRENT, *both, detection_updated=True)
    eventually(lambda: home.marks(both) == {CS1 | FOREIGN}, what="the other class")
    assert all(side["cs1"] == sum(side.values()) for side in kitchen.arrived(both))
    kitchen.tell({"protocol": "HTTP"}, *both, detection_updated=True)
    eventually(lambda: home.marks(both) == {FOREIGN}, what="no class")
    assert all(side["plain"] == sum(side.values()) for side in kitchen.arrived(both))


def test_a_connection_in_two_recipes_keeps_both_marks_and_all_packets(kitchen: Kitchen) -> None:
    """Zoom's mark erased that of WAN 2: every second upstream packet was lost, and one connection in four was reset."""
    home = kitchen.home
    kitchen.cook(RECIPES.values())
    kitchen.tell(NETFLIX, *home.every("visitor", "series"))
    eventually(lambda: home.wans(home.every("visitor", "series")) == {"wan2"}, what="WAN 2")
    both = home.every("visitor", "series")
    kitchen.tell(ZOOM, *both)
    eventually(lambda: home.marks(both) == {EF | 0x4000 | FOREIGN}, what="both marks, and others'")
    up, _ = kitchen.arrived(both)
    assert up["plain"] == 0 and up["ef"] >= 20
    assert home.wans(both) == {"wan2"}
    assert kitchen.counted("lost") == 0, "and no packet the marks of others"


def test_blocks_survive_the_firewall(kitchen: Kitchen) -> None:
    """At boot the rules were refused, after a restart of the firewall they were gone: YouTube played, and status said "on"."""
    home, namespace = kitchen.home, kitchen.lab.namespace
    kitchen.cook([RECIPES["No YouTube on the tablets"]])
    videos, mail = home.every("ana_tablet", "video"), home.every("ana_tablet", "video")
    kitchen.tell(YOUTUBE, *videos)
    for deed in ("delete table inet fw4", "delete table inet nfa", "flush ruleset"):
        namespace.nft(deed)
        kitchen.firewall()
        eventually(lambda: stopped(videos), what=deed)
        lively(*mail)


def test_the_five_lines_of_the_readme_block_and_let_go(kitchen: Kitchen) -> None:
    """The first thing that an owner types: YouTube went on; or when he had switched it off again, it stayed blocked."""
    home = kitchen.home
    shipped = first_policy((ROOT / "README.md").read_text(encoding="utf-8"))
    assert home.mac("camera") in shipped, "the page has the same address for its tablet"
    kitchen.firewall()
    kitchen.begin(shipped)
    videos, mail, other = (home.every(who, "video") for who in ("camera", "camera", "visitor"))
    lively(*videos)
    kitchen.neighbours(videos)
    kitchen.tell(YOUTUBE, *videos, *other)
    kitchen.tell(MAIL, *mail)
    assert stopped(videos)
    lively(*mail, *other)
    kitchen.write(uci_set(shipped, "no_youtube", "enabled", "0"))
    kitchen.lab.daemon.ask("reload")
    udp = [connection for connection in videos if connection.kind == "udp"]
    eventually(lambda: len(alive(udp)) == 2, what="off is off")
    again = home.every("camera", "video")
    kitchen.tell(YOUTUBE, *again)
    lively(*again)
    kitchen.stop()


def test_the_page_has_a_story_for_each_recipe_and_the_household_its_devices() -> None:
    """Else a recipe would not be tested, or on a device that it does not name."""
    assert {*STORIES} == {*RECIPES}
    assert {*macs(RECIPES.values())} - {*DEVICES} == {"old_tablet"} and len(SERVERS) == len(set(SERVERS))
