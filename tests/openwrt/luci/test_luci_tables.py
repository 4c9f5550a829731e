"""The pages Sets and Matches in a browser: what the daemon holds and has decided, as a person sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from luci_lab import TABLET, Person, Router
from samples import flow, hello
from waiting import eventually

from nfa.cli.eval import predicate
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import names_of_agent
from nfa.compiler.expression.understand import Context, understand
from nfa.daemon.engine.view import View

CONFIG = """\
config nfa 'main'
	option enabled '1'
	option source '{source}'

config exemption 'global'
	list exemption "protocol == 'dns';"

config target 'set_video'
	option target_type 'nftset'
	option set_name 'video'
	option table_name 'nfa'
	option managed '1'
	option ttl '300'

config action 'video'
	list criteria "app == 'youtube';"
	list criteria "detected_hostname == 'rx:img';"
	list target 'set_video'
"""


def film(other: str, host: str, local: str = TABLET) -> dict[str, Any]:
    """A device fetches a film."""
    return flow(application="netify.youtube", local=local, other=other, host_server_name=host)


@pytest.fixture
def router(start: Callable[..., Router]) -> Router:
    """A router whose tablet watches a film."""
    made = start(CONFIG)
    made.connected()
    made.feed(hello(), film("203.0.113.10", "video.example"))
    return made


def test_set_with_its_element(router: Router, sit_down: Callable[..., Person]) -> None:
    """The element of the film is shown, with the name of the device, and the time it has left runs down."""
    person = sit_down(router)
    person.open("sets")
    row = person.row("192.168.1.20 . tcp . 443 . 203.0.113.10")
    assert "tablet" in row.inner_text()
    before = row.inner_text()
    eventually(lambda: row.inner_text() != before, what="the time that is left runs down")
    person.content()


def test_search_and_pages(router: Router, sit_down: Callable[..., Person]) -> None:
    """A set of many elements is turned over page by page, and searched on the router."""
    router.feed(*(film(f"198.51.100.{last}", "film.example") for last in range(1, 100)))
    person = sit_down(router)
    person.open("sets")
    person.sees("1 to 50 of 100")
    person.page.get_by_role("button", name="Next page").click()
    person.sees("51 to 100 of 100")
    assert person.page.get_by_role("button", name="Next page").is_disabled()
    person.page.locator("#nfa-set-search").fill("198.51.100.77")
    person.sees("1 to 1 of 1")
    person.row("192.168.1.20 . tcp . 443 . 198.51.100.77")
    person.page.locator("#nfa-set-search").fill("nothing of this kind")
    person.sees("Nothing found.")
    person.content()


def test_flush_asks_first(router: Router, sit_down: Callable[..., Person]) -> None:
    """A target is emptied after a question, which Escape answers with no."""
    person = sit_down(router)
    person.open("sets")
    empty = person.page.locator("#nfa-set-flush")
    assert empty.is_disabled()
    person.page.locator("#nfa-set-target").select_option("set_video")
    empty.click()
    person.sees("Remove all elements from the sets of set_video?")
    person.page.keyboard.press("Escape")
    person.page.locator(".modal").wait_for(state="hidden")
    assert router.ubus("nfa", "elements")["total"] == 1
    empty.click()
    person.page.get_by_role("button", name="Empty", exact=True).click()
    person.sees("There is no element yet.")
    assert router.ubus("nfa", "elements")["total"] == 0
    assert "203.0.113.10" not in router.run("nft", "list", "set", "inet", "nfa", "video.v4")
    person.content()


def test_read_only(router: Router, sit_down: Callable[..., Person]) -> None:
    """Who may look only sees sets, matches and reasons, and nothing to change them with."""
    person = sit_down(router, "viewer")
    person.open("sets")
    person.row("192.168.1.20 . tcp . 443 . 203.0.113.10")
    assert person.page.locator("#nfa-set-flush").count() == 0
    person.open("matches")
    person.row("video.example").get_by_role("button", name="Why?").click()
    person.sees("video matches")
    assert person.page.get_by_role("button", name="Allow").count() == 0
    assert person.page.get_by_role("button", name="New rule").count() == 0
    person.content()


def test_matches_come_and_can_be_held(router: Router, sit_down: Callable[..., Person]) -> None:
    """A decision appears by itself; not while the table is paused; and what is not wanted is filtered out."""
    person = sit_down(router)
    person.open("matches")
    person.row("video.example")
    router.feed(film("203.0.113.11", "second.example", local="192.168.1.21"))
    assert "laptop" in person.row("second.example").inner_text()
    person.page.get_by_role("button", name="Pause").click()
    router.feed(film("203.0.113.12", "third.example"))
    person.page.wait_for_timeout(4000)  # longer than between two polls
    assert person.page.get_by_text("third.example").count() == 0
    person.page.get_by_role("button", name="Resume").click()
    person.row("third.example")
    person.page.locator("#nfa-match-filter").fill("LAPTOP")
    person.sees("1 of 3 are shown.")
    person.content()


def test_focus_stays_while_it_is_polled(router: Router, sit_down: Callable[..., Person]) -> None:
    """New rows above do not take the keyboard away from a button that has it."""
    person = sit_down(router)
    person.open("matches")
    button = person.row("video.example").get_by_role("button", name="Why?")
    button.focus()
    router.feed(film("203.0.113.11", "second.example", local="192.168.1.21"))
    person.row("second.example")
    assert button.evaluate("node => node === document.activeElement")
    person.page.keyboard.press("Enter")
    person.sees("app == 'youtube'")
    person.page.keyboard.press("Escape")
    person.page.locator(".modal").wait_for(state="hidden")
    assert button.evaluate("node => node === document.activeElement")


AWAY = {"overview": "No flow is evaluated.", "policies": "the daemon does not answer"}


@pytest.mark.parametrize("page", ["overview", "policies", "sets", "matches"])
def test_daemon_away(router: Router, sit_down: Callable[..., Person], page: str) -> None:
    """A daemon that is stopped is told, and one that comes back is seen."""
    person = sit_down(router)
    person.open(page)
    cell = person.page.get_by_role("cell", name="set_video")
    shown = person.page.get_by_text("in the set video") if page == "policies" else cell
    shown.first.wait_for()
    told = AWAY.get(page, "The daemon does not answer")
    router.service("stop")
    person.sees(told)
    router.netifyd.drop()
    router.service("start")
    router.connected()
    person.page.get_by_text(told).wait_for(state="hidden")
    person.content(but=["404"])


def test_exemption_from_a_match(router: Router, sit_down: Callable[..., Person]) -> None:
    """An exemption that begins at a decision waits among the changes; applied, the daemon has it."""
    person = sit_down(router)
    person.open("matches")
    person.row("video.example").get_by_role("button", name="Why?").click()
    person.sees("video matches")
    person.page.get_by_role("button", name="Allow").click()
    person.page.locator("#nfa-start-for").select_option("video")
    person.sees("app == 'netify.youtube' && mac == 02:00:5E:10:01:14;")
    with person.page.expect_navigation(url="**/admin/services/nfa/policies"):
        person.page.get_by_role("button", name="Continue on the page Rules").click()
    assert person.changes() == [["list-add", "video", "exemption", "app == 'netify.youtube' && mac == 02:00:5E:10:01:14;"]]


def test_policy_from_a_match(router: Router, sit_down: Callable[..., Person]) -> None:
    """A policy that begins at a decision waits among the changes, with what the person chose, and its editor opens."""
    person = sit_down(router)
    person.open("matches")
    person.row("video.example").get_by_role("button", name="Why?").click()
    person.page.get_by_role("button", name="New rule").click()
    person.page.locator("#nfa-start-what").select_option(label="the host video.example, from every device")
    assert person.page.locator("#nfa-start-name").input_value() == "youtube"
    with person.page.expect_navigation(url="**/admin/services/nfa/policies#edit=youtube"):
        person.page.get_by_role("button", name="Continue on the page Rules").click()
    person.sees("Rule youtube")
    assert person.changes() == [
        ["set", "youtube", "action"],
        ["set", "youtube", "enabled", "1"],
        ["list-add", "youtube", "criteria", "detected_hostname == 'video.example';"],
        ["list-add", "youtube", "target", "set_video"],
    ]


NAMES = (
    "it's.example", "rx:.*", "'; app == 'x", "\n\x01 ' ;", "%s %d", "<img src=x onerror=alert(1)>", "\u202eelpmaxe", "a" * 300,
)  # fmt: skip
"""What strangers may call their hosts."""


def _meaning(expression: str) -> Callable[[dict[str, Any]], bool]:
    nodes, errors = understand(expression, Context(names_of_agent(Paths())))
    assert not errors, (expression, errors)
    return predicate(nodes, View())


def test_no_name_breaks_out_of_its_quotes(router: Router, sit_down: Callable[..., Person]) -> None:
    """Whatever a host is called, an exemption for it is an expression that matches that host, and no other."""
    router.feed(*(film(f"198.51.100.{number}", name) for number, name in enumerate(NAMES, 1)))
    person = sit_down(router)
    person.open("matches")
    for number, name in enumerate(NAMES, 1):
        person.row(f"198.51.100.{number}:443").get_by_role("button", name="Why?").click()
        person.page.get_by_role("button", name="Allow").click()
        choices = person.page.locator("#nfa-start-what")
        choices.select_option(index=3)
        expression = person.page.locator("#nfa-start-expression").inner_text()
        matches = _meaning(expression)
        found = [other for other in [*NAMES, "", "x", "video.example"] if matches(flow(host_server_name=other))]
        assert found == [name], f"{name!r} became {expression!r}"
        person.page.keyboard.press("Escape")
    person.content()
