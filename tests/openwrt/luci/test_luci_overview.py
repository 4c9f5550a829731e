"""Status, the tile on Status > Overview, and the log: what runs, what is wrong, and the buttons of the service."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from luci_lab import Person, Router
from samples import flow, hello
from waiting import eventually

CONFIG = """\
config nfa 'main'
	option source '{source}'
	option log_level 'debug'

config target 'video'
	option target_type 'nftset'
	option set_name 'video'
	option managed '1'

config action 'films'
	list criteria "app == 'youtube';"
	list target 'video'

config action 'wrong'
	list criteria "ap == 'youtube';"
	list target 'video'

config action 'off'
	option enabled '0'
	list criteria "app == 'netflix';"
	list target 'video'
"""
GUEST = """\
config login
	option username 'viewer'
	option password '$p$root'
	list read 'unauthenticated'
	list read 'luci-base'
	list read 'luci-mod-status-index*'
"""
STATE = "strong[role=status]"


@pytest.fixture
def router(start: Callable[..., Router]) -> Router:
    made = start(CONFIG)
    made.connected()
    made.feed(hello(), flow("QUIC", "netify.youtube"))
    return made


def button(person: Person, name: str) -> object:
    return person.page.get_by_role("button", name=name, exact=True)


def state(person: Person, text: str) -> None:
    """Wait until the page says how the daemon is."""
    person.page.locator(STATE, has_text=text).wait_for()


def test_overview_shows_what_runs_and_what_is_wrong(router: Router, sit_down: Callable[..., Person]) -> None:
    """A person who opens the page would not know whether anything works, and where to mend it."""
    person = sit_down(router)
    person.open("overview")
    state(person, "Running")
    person.sees(re.compile("Connected, version"))
    person.sees(re.compile("unknown attribute 'ap'"))
    link = person.page.get_by_role("link", name="Open the rule wrong")
    assert link.get_attribute("href") == "/cgi-bin/luci/admin/services/nfa/policies#edit=wrong"
    films = person.row("films").inner_text().split()
    assert films[1].lower() == "on" and films[2] == "1"
    assert "not in use" in person.row("wrong").inner_text().lower()
    assert "off" in person.row("off").inner_text().split()[1]
    assert "works" in person.row("nftset").inner_text().lower()
    person.content()


def test_counters_rise_in_the_row_that_is_there(router: Router, sit_down: Callable[..., Person]) -> None:
    """A table that is made anew at each poll flickers, and takes focus and selection away."""
    person = sit_down(router)
    person.open("overview")
    row = person.row("films").element_handle()
    router.feed(flow("QUIC", "netify.youtube", local_port=50001), flow("QUIC", "netify.youtube", local_port=50002))
    eventually(lambda: row.inner_text().split()[2] == "3", what="three hits")
    assert row.evaluate("node => node.isConnected")
    person.content()


def test_a_stopped_daemon_is_shown_by_itself_and_so_is_its_return(router: Router, sit_down: Callable[..., Person]) -> None:
    """A person would trust policies that nobody applies."""
    person = sit_down(router)
    person.open("overview")
    state(person, "Running")
    router.service("stop")
    state(person, "Stopped")
    assert button(person, "Stop").is_disabled() and button(person, "Reload").is_disabled()
    person.sees("The daemon does not answer. This page shows what it reported last, if anything.")
    router.service("start")
    router.connected()
    state(person, "Running")
    router.feed(hello(), flow("QUIC", "netify.youtube"))
    eventually(lambda: person.row("films").inner_text().split()[2] == "1", what="counters of the new daemon")
    assert "-" not in person.page.locator("figcaption").inner_text()
    person.content()


def test_the_buttons_do_what_they_say_and_wait_for_it(router: Router, sit_down: Callable[..., Person]) -> None:
    """A second press while the first is at work would start two things at once."""
    person = sit_down(router)
    person.open("overview")
    state(person, "Running")
    button(person, "Stop").click()
    state(person, "Stopped")
    button(person, "Start").click()
    assert button(person, "Stop").is_disabled() and button(person, "Start").is_disabled()
    router.connected()
    state(person, "Running")
    before = router.ubus("service", "list", name="nfa")["nfa"]["instances"]["instance1"]["pid"]
    eventually(lambda: button(person, "Restart").is_enabled(), what="the button is free again")
    button(person, "Restart").click()
    router.connected()
    eventually(
        lambda: router.ubus("service", "list", name="nfa")["nfa"]["instances"]["instance1"].get("pid") not in (None, before),
        what="another process",
    )
    eventually(lambda: button(person, "Reload").is_enabled(), what="the button is free again")
    button(person, "Reload").click()
    person.sees(re.compile("The configuration was reloaded: 1 error,"))
    button(person, "Do not start with the router").click()
    button(person, "Start with the router").wait_for()
    person.content()


def test_who_may_only_look_can_press_nothing(router: Router, sit_down: Callable[..., Person]) -> None:
    """Each press would be refused."""
    person = sit_down(router, "viewer")
    person.open("overview")
    state(person, "Running")
    for name in ("Start", "Stop", "Restart", "Reload", "Do not start with the router"):
        assert button(person, name).is_disabled(), name
    person.content()


def test_a_daemon_that_may_not_run_is_switched_on(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Start does nothing then, and says so in the log only."""
    router = start(CONFIG.replace("\toption log_level", "\toption enabled '0'\n\toption log_level"))
    person = sit_down(router)
    person.open("overview")
    state(person, "Switched off")
    button(person, "Switch on").click()
    router.connected()
    assert "option enabled '1'" in router.config()
    state(person, "Running")


def test_the_log_is_filtered_and_follows(router: Router, sit_down: Callable[..., Person]) -> None:
    """The one line that says what is wrong would be lost among matches."""
    person = sit_down(router)
    person.open("log")
    person.row("policy loaded")
    person.page.get_by_label("Show").select_option("error")
    person.row("unknown attribute 'ap'")
    assert not person.page.get_by_role("row").filter(has_text="policy loaded").count()
    person.page.get_by_label("Show").select_option("debug")
    person.page.get_by_label("containing").press_sequentially("50009")
    person.sees(re.compile("There is no such line"))
    router.feed(flow("QUIC", "netify.youtube", local_port=50009))
    assert "match" in person.row("50009").inner_text().lower()
    person.content()


def test_the_status_page_has_a_tile(router: Router, sit_down: Callable[..., Person]) -> None:
    """The first page that a person sees would not tell that something is wrong."""
    person = sit_down(router)
    person.open("admin/status/overview")
    person.page.get_by_role("heading", name="Flow Actions").wait_for()
    person.sees(re.compile("unknown attribute 'ap'"))
    person.page.get_by_role("link", name="Open Flow Actions").wait_for()


def test_a_login_without_rights_has_no_tile(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Who may not ask would be told that the daemon is stopped."""
    made = start(CONFIG, files={"config/rpcd": GUEST})
    made.connected()
    person = sit_down(made, "viewer")
    person.open("admin/status/overview")
    person.page.get_by_role("heading", name="System").wait_for()
    person.page.wait_for_timeout(1000)
    assert not person.page.get_by_role("heading", name="Flow Actions").is_visible()


def test_a_daemon_that_ends_again_and_again_can_be_stopped(router: Router, sit_down: Callable[..., Person]) -> None:
    """It would be started every five seconds for ever."""
    person = sit_down(router)
    person.open("overview")
    state(person, "Running")
    router.run("chmod", "-x", "/usr/bin/nfa")
    pid = router.ubus("service", "list", name="nfa")["nfa"]["instances"]["instance1"]["pid"]
    router.run("kill", "-9", str(pid))
    state(person, "Exited unexpectedly")
    button(person, "Stop").click()
    state(person, "Stopped")
    assert button(person, "Stop").is_disabled()
    assert not router.ubus("service", "list", name="nfa").get("nfa", {}).get("instances")
    person.content()
