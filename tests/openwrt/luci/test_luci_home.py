"""The page Home, from a fresh router to one that blocks: what it says, what its buttons do, judged by packets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luci_lab import CONFIG as PACKAGE
from luci_lab import ROOT, TABLET, TABLET_MAC, Person, Router
from netifyd_records import stats
from samples import Record, definitions, flow, hello
from waiting import eventually

SHIPPED = (ROOT / "files/etc/config/netify-proc-flow-actions").read_text(encoding="utf-8")
FIRST_VIEW = 1.5
"""Seconds: what a person calls at once."""

CONFIG = """\
config nfa 'main'
	option source '{source}'
	option timezone 'TST0'

config device 'tablet'
	option title 'The tablet'
	list mac '02:00:5e:10:01:14'

config target 'stop'
	option target_type 'firewall'
	option verdict 'reject'

config budget 'hour'
	option time '1h'

config action 'no_youtube'
	list criteria "app == 'netify.youtube' && local_ip == @tablet;"
	list target 'stop'

config action 'games'
	list criteria "app == 'netify.reddit' && local_ip == @tablet;"
	list target 'stop'
	option budget 'hour'
"""
BROKEN = """
config action 'wrong'
	list criteria "ap == 'youtube';"
	list target 'stop'

config target 'lost'
	option target_type 'nftset'
	option set_name 'lost'

config action 'into_a_set'
	list criteria "app == 'netify.tiktok';"
	list target 'lost'
"""
STATE = "strong[role=status]"
YOUTUBE = flow(application="netify.youtube", local=TABLET, other="203.0.113.10", host_server_name="video.example")
OTHER = flow(application="netify.netflix", local="192.168.1.21", other="203.0.113.12")


def grown(record: Record, down: int, up: int, packets: int = 20) -> Record:
    """Statistics of a flow: what it had since the last ones."""
    return stats(record["flow"]["digest"], local=(up, packets // 2), other=(down, packets // 2))


def state(person: Person, text: str) -> None:
    """Wait until the sentence of the page says so."""
    try:
        person.page.locator(STATE, has_text=text).wait_for()
    except Exception as problem:  # it is raised again, with what the page says
        raise AssertionError(f"expected {text!r}, the page says: {person.page.locator('#view').inner_text()}") from problem


def part(person: Person, title: str) -> Any:
    """A part of the page that is shown, by its title."""
    heading = person.page.get_by_role("heading", name=title, exact=True)
    return person.page.locator(".cbi-section:visible", has=heading).first


def dead_buttons(person: Person) -> int:
    return int(person.page.locator("#view button:visible:disabled").count())


def fits(person: Person) -> bool:
    """Whether nothing is beside the window."""
    return bool(person.page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_fresh_router_is_switched_on_and_has_three_rules_to_begin_with(
    start: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """A newcomer would see buttons that do nothing, and four rules that he did not write."""
    router = start(SHIPPED.replace("#option source 'unix:///var/run/netifyd/netifyd.sock'", "option source '{source}'"))
    person = sit_down(router)
    page = person.page
    page.goto(f"{router.url}/cgi-bin/luci/admin/services/nfa")
    state(person, "Switched off")
    assert page.locator(".nfa-card:visible h4").all_inner_texts() == [
        "Switch on", "Block an application", "An hour a day", "Put calls first",
    ]  # fmt: skip
    assert dead_buttons(person) == 0 and page.locator("#view button:visible").count() == 1
    assert "no_youtube" not in page.locator("#view").inner_text()
    person.shoot("home_fresh")
    with page.expect_navigation():
        page.get_by_role("button", name="Switch on").click()
    router.connected()
    assert "option enabled '1'" in router.config()
    state(person, "On, but no rule is on")
    assert page.locator(".nfa-card:visible").count() == 3 and dead_buttons(person) == 0
    page.get_by_role("link", name="An hour a day").click()
    person.sees("How long a day")
    person.content()


def test_what_the_house_does_is_seen_and_what_is_blocked_is_blocked(
    start: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """A person would not know who uses the line, what was stopped, or that a pause ends what he wanted."""
    router = start(CONFIG)
    router.connected()
    router.home(TABLET, "192.168.1.21")
    router.feed(hello(), definitions(), YOUTUBE, OTHER)
    router.feed(grown(OTHER, 3_000_000, 90_000))
    person = sit_down(router)
    page = person.page
    person.open("home")
    state(person, "On, and it works: 2 rules are in use.")
    now = part(person, "Now")
    now.get_by_text("laptop").wait_for()
    now.get_by_text("In this hour so far").wait_for()
    router.feed(grown(OTHER, 15_000_000, 150_000))
    eventually(lambda: re.search(r"laptop\s+[\d.]+ Mbit/s down", now.inner_text()), what="what the laptop does now")
    assert "In the last" in now.inner_text() and "Netflix" in now.inner_text() and "The tablet" not in now.inner_text()

    assert router.connect(YOUTUBE) == "refused" and router.connect(OTHER) == "lost"
    router.feed(grown(YOUTUBE, 2_000, 1_000, packets=6))
    page.reload()
    blocked = part(person, "Blocked today")
    eventually(lambda: re.search(r"no_youtube\s+6 packets", blocked.inner_text()), what="the packets of the rule")
    used = part(person, "Used")
    assert re.search(r"laptop\s+18 MB down", used.inner_text()) and "The tablet" in used.inner_text()
    used.get_by_role("button", name="7 days").click()
    eventually(lambda: re.search(r"laptop\s+18 MB down", used.inner_text()), what="the week")
    person.shoot("home_used")

    router.ubus("nfa", "pause", name="no_youtube", seconds=3600)
    eventually(lambda: router.connect(YOUTUBE) == "lost", what="a pause lets it pass")
    page.get_by_role("button", name="Resume no_youtube").click()
    eventually(lambda: router.connect(YOUTUBE) == "refused", what="it is blocked again")
    eventually(lambda: not page.get_by_role("heading", name="Paused").is_visible(), what="nothing is paused")

    more = page.get_by_role("button", name="+30 min of hour for The tablet")
    more.click()
    person.sees(re.compile(r"The tablet \(hour\): 1 h 30 min of 1 h 30 min left"))
    (row,) = router.ubus("nfa", "budget", name="hour")["budgets"]
    assert row["bonus_seconds"] == 1800

    page.get_by_role("link", name="The tablet").first.click()
    person.sees("Rules about it")
    own = page.locator("#view li").all_inner_texts()
    assert own == ["no_youtube", "games"] and TABLET_MAC in page.locator("#view").inner_text()
    person.shoot("home_device")
    page.get_by_role("link", name="All devices").click()
    part(person, "Used").wait_for()
    person.content()


def test_a_problem_opens_the_very_thing(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """A person would be told that something is wrong, and have to look for it among 200 rules."""
    router = start(CONFIG + BROKEN)
    router.connected()
    router.feed(hello(), definitions(), flow(application="netify.tiktok"))
    person = sit_down(router)
    page = person.page
    person.open("home")
    state(person, "On, but")
    page.get_by_role("link", name="Open the rule wrong").click()
    page.locator(".modal .cbi-map").wait_for()
    page.locator(".modal").get_by_text("Policy wrong").or_(page.locator(".modal").get_by_text("Rule wrong")).first.wait_for()
    person.open("home")
    page.get_by_role("link", name="Open the target lost").first.click()
    page.locator(".modal").get_by_text("Target lost").first.wait_for()


def test_what_is_not_counted_is_counted_after_a_press(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """The page would be empty for ever, without a word why."""
    router = start(CONFIG.replace("\toption timezone", "\toption usage '0'\n\toption timezone"))
    router.connected()
    person = sit_down(router)
    person.open("home")
    person.sees("Who uses what is not counted.")
    assert not person.page.get_by_role("heading", name="Now").is_visible()
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Count usage").click()
    eventually(lambda: router.ubus("nfa", "status")["usage"]["on"], what="it counts")
    assert "option usage '1'" in router.config(PACKAGE)
    part(person, "Now").wait_for()


def test_who_may_only_look_sees_all_and_can_change_nothing(
    start: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """Each press would be refused, or a guest would end a pause."""
    router = start(CONFIG)
    router.connected()
    router.feed(hello(), definitions(), OTHER)
    router.feed(grown(OTHER, 3_000_000, 90_000))
    router.ubus("nfa", "pause", name="games", seconds=3600)
    person = sit_down(router, "viewer")
    person.open("home")
    state(person, "On, and it works")
    person.sees("laptop")
    assert person.page.get_by_role("button", name="Resume games").is_disabled()
    assert person.page.get_by_role("button", name="+30 min of hour for The tablet").is_disabled()
    person.content()


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_sixty_devices_are_shown_at_once_and_fit(
    start: Callable[..., Router], sit_down: Callable[..., Person], size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A page of a big household would come late, or be wider than a phone."""
    router = start(CONFIG)
    router.connected()
    apps = ("netify.netflix", "netify.tiktok", "netify.reddit", "netify.windows-update")
    flows = [
        flow(application=name, local=f"192.168.1.{last}", other=f"203.0.113.{last}", local_port=50000 + number)
        for last in range(30, 90)
        for number, name in enumerate(apps)
    ]
    router.feed(hello(), definitions(), *flows)
    router.feed(*(grown(record, 1000 * (number + 1), 100) for number, record in enumerate(flows)))
    person = sit_down(router, size=size)
    person.open("home")
    began = person.page.evaluate("() => performance.now()")
    first = person.open("home")
    used = part(person, "Used")
    used.get_by_role("button", name="and 52 more").wait_for()
    shown = person.page.evaluate("() => performance.now()") / 1000
    with capsys.disabled():
        print(f"\nhome, {size[0]}: the view after {first:.2f} s, use of 60 devices after {shown:.2f} s", end="")
    assert began and first < FIRST_VIEW
    assert used.get_by_role("listitem").count() == 8 + len(apps)
    used.get_by_role("button", name="and 52 more").click()
    assert used.get_by_role("listitem").count() == 60 + len(apps)
    assert fits(person)
    person.shoot(f"home_{size[0]}")
    person.content()


AXE = Path(os.environ.get("NFA_NODE", ROOT / ".venv/node")) / "node_modules/axe-core/axe.min.js"
FAULTS = """() => axe.run('#view').then(found => found.violations.flatMap(rule => rule.nodes.map(node =>
	`${rule.id}: ${node.target} ${node.any.concat(node.all).map(one => one.message).join('; ')}`)))"""


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe-core; with node and npm, make test installs it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_everybody_can_read_and_use_it(
    start: Callable[..., Router], sit_down: Callable[..., Person], size: tuple[int, int], scheme: str
) -> None:
    """Who sees badly, or has no mouse, would not know how things are: contrast, names of what can be pressed, structure."""
    router = start(CONFIG + BROKEN)
    router.connected()
    router.feed(hello(), definitions(), OTHER, YOUTUBE)
    router.feed(grown(OTHER, 3_000_000, 90_000), grown(YOUTUBE, 2_000, 1_000, packets=6))
    router.ubus("nfa", "pause", name="no_youtube", seconds=3600)
    person = sit_down(router, size=size)
    page = person.page
    page.emulate_media(color_scheme=scheme)
    for place in ("home", f"home#device={TABLET_MAC}"):
        person.open("recipes")  # only another hash would not load the page again
        person.open(place)
        person.sees("Rules about it" if "#" in place else "Blocked today")
        page.add_script_tag(path=str(AXE))
        assert page.evaluate(FAULTS) == []
        assert fits(person)
        person.shoot(f"home_{scheme}_{size[0]}_{len(place)}")


FOCUS = "() => `${document.activeElement.tagName} ${document.activeElement.textContent}`"


def test_it_is_used_by_the_keyboard(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Who has no mouse would stay on the first page, or be thrown to its top after each press."""
    router = start(CONFIG)
    router.connected()
    router.feed(hello(), definitions(), OTHER)
    router.feed(grown(OTHER, 3_000_000, 90_000))
    person = sit_down(router)
    page = person.page
    person.open("home")
    link = part(person, "Used").get_by_role("link", name="laptop")
    link.focus()
    link.press("Enter")
    eventually(lambda: page.evaluate(FOCUS) == "H3 laptop", what="its title has the focus")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    eventually(lambda: page.evaluate(FOCUS) == "H2 Flow Actions", what="back at the top")
    person.content()
