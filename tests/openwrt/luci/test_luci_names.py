"""Names that strangers chose stay text, on every page: hosts, devices, policies of a JSON file, findings, lines of the log."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from luci_lab import PAGES, TABLET, TABLET_MAC, Person, Router
from samples import flow, hello

HARM = "<img src=x onerror=window.nfa_harm=1>"
"""What makes an element of itself, and runs, where it is taken for HTML."""

CONFIG = f"""\
config nfa 'main'
	option source '{{source}}'
	list json_config '/etc/config/policy.json'

config exemption 'global'
	list exemption "detected_hostname == 'gone{HARM}';"

config target 'video'
	option target_type 'nftset'
	option set_name 'video'
	option managed '1'

config target 'wrong'
	option target_type 'nftset'
	option set_name 'wrong'
	option ttl '{HARM}'

config target 'stop'
	option target_type 'firewall'
	option verdict '{HARM}'
	option limit '{HARM}'

config target 'files'
	option target_type 'log'
	option prefix '{HARM}'

config action 'films'
	list criteria "app == 'youtube';"
	list criteria "detected_hostname == 'rx:{HARM}';"
	list exemption "detected_hostname == 'spared{HARM}';"
	list target 'video'

config action 'broken'
	list criteria "app = '{HARM}';"
	list target 'video'
"""
POLICY = {
    "version": 1,
    "actions": {f"action {HARM}": {"criteria": ["*"], "targets": [f"target {HARM}"]}},
    "targets": {f"target {HARM}": {"target_type": "nftset", "set_name": "other", "managed": True}},
}


@pytest.fixture
def router(start: Callable[..., Router]) -> Router:
    hosts = {TABLET_MAC.upper(): {"name": f"tablet {HARM}", "ipaddrs": [TABLET], "ip6addrs": []}}
    made = start(CONFIG, hosts=hosts, files={"config/policy.json": json.dumps(POLICY)})
    made.connected()
    made.feed(
        hello(),
        flow("HTTP/S", "netify.youtube", local=TABLET, host_server_name=f"host {HARM}", dns_host_name=HARM),
        flow("HTTP/S", local=TABLET, other="203.0.113.11", host_server_name=HARM, detected_application_name=f"app {HARM}"),
    )
    made.run("logger", "-t", "nfa", f"line {HARM}")
    return made


SHOWN = {
    "matches": f"host {HARM}", "sets": f"tablet {HARM}", "log": f"line {HARM}", "overview": f"action {HARM}", "home": f"{HARM}",
}  # fmt: skip
"""A text that a page is known to show: the names did come this far."""


@pytest.mark.parametrize("page", PAGES)
def test_names_are_text(router: Router, sit_down: Callable[..., Person], page: str) -> None:
    """No page makes an element of a name, or runs what is in one."""
    person = sit_down(router)
    person.open(page)
    if page in SHOWN:
        person.sees(SHOWN[page])
    person.page.wait_for_timeout(3500)  # the first poll has come, too
    if page == "matches":
        person.row("203.0.113.11:443").get_by_role("button", name="Why?").click()
        person.sees(f"action {HARM} matches")
        person.page.get_by_role("button", name="Allow").click()
        person.page.locator("#nfa-start-what").wait_for()
        _unharmed(person)
        person.page.keyboard.press("Escape")
        person.row("203.0.113.11:443").get_by_role("button", name="Why?").click()
        person.page.get_by_role("button", name="New rule").click()
        person.page.locator("#nfa-start-name").wait_for()
    if page == "sets":
        person.page.locator("#nfa-set-target").select_option(f"target {HARM}")
        person.page.locator("#nfa-set-flush").click()
        person.sees(f"Remove all elements from the sets of target {HARM}?")
        person.page.get_by_role("button", name="Empty", exact=True).click()
        person.sees(f"Removed from target {HARM}")
    if page in ("policies", "targets"):
        for button in person.page.locator('[data-tab-active="true"] .cbi-button-edit').all():
            button.click()
            person.page.locator(".modal").wait_for()
            person.page.wait_for_timeout(500)
            _unharmed(person)
            person.page.locator(".modal .button-row button").first.click()
    _unharmed(person)
    person.content(but=["favicon"])


def _unharmed(person: Person) -> None:
    assert person.page.locator("img[src=x]").count() == 0, "a name became an element"
    assert not person.page.evaluate("() => window.nfa_harm"), "a name was run"
