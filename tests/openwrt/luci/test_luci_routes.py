"""Another WAN without a line to paste: what the network lacks is shown, and written with the right to do so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from luci_lab import CONFIG as PACKAGE
from luci_lab import Person, Router
from waiting import eventually

NETWORK = """\
config interface 'lan'
	option device 'br-lan'
	option proto 'static'
	option ipaddr '192.168.1.1'
	option netmask '255.255.255.0'

config interface 'wan2'
	option device 'eth2'
	option proto 'dhcp'

config interface 'wan2_6'
	option device '@wan2'
	option proto 'dhcpv6'
"""
CONFIG = """\
config nfa 'main'
	option source '{source}'
"""
FILMS = """
config action 'films'
	list criteria "app == 'netflix';"
	list target 'line2'

config target 'line2'
	option target_type 'firewall'
	option route 'wan2'
"""
LOGINS = """\
config rpcd
	option socket /var/run/ubus/ubus.sock
	option timeout 30

config login
	option username 'viewer'
	option password '$p$root'
	list read 'unauthenticated'
	list read 'luci-base'
	list read 'luci-base-network-status'
	list write 'luci-base'
	list write 'luci-app-nfa'
"""


def lacks(router: Router) -> list[object]:
    """What the daemon says that the network lacks."""
    found: list[object] = router.ubus("nfa", "routes")["changes"]
    return found


def warned(router: Router) -> bool:
    return any(found["code"] == "route-not-applied" for found in router.ubus("nfa", "status")["policy"]["reports"])


def choose_netflix(person: Person) -> None:
    box = person.page.locator("[data-question=apps]").get_by_role("combobox")
    box.press_sequentially("netflix")
    person.page.locator("[data-question=apps] [role=option]").first.wait_for()
    box.press("Enter")


def test_a_rule_for_the_second_wan_is_made_in_its_dialog(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Send through another WAN would mark packets that no route takes there."""
    router = start(CONFIG, files={"config/network": NETWORK})
    router.connected()
    person = sit_down(router)
    page = person.page
    person.open("policies")
    page.get_by_role("button", name="Add a rule").click()
    page.locator(".modal").get_by_label("What to do", exact=True).select_option("wan")
    person.type_into(page.locator(".modal").get_by_label("Which network"), "wan2")
    box = page.locator(".modal [data-kind=what]").get_by_role("combobox")
    box.press_sequentially("netflix")
    page.locator(".modal .nfa-list:visible [role=option]").first.wait_for()
    box.press("Enter")
    page.locator(".modal").get_by_role("button", name="Save", exact=True).click()
    person.sees("The other WAN needs this too.")
    person.sees("option ip4table '7701'")
    person.row("Send Netflix through wan2")
    person.save_and_apply()
    assert "option route 'wan2'" in router.config()
    eventually(lambda: "rule" in router.ubus("nfa", "status")["actions"], what="the rule in force")
    eventually(lambda: not warned(router), what="nothing is missing")
    assert lacks(router) == []
    person.content()


def test_a_service_goes_through_the_second_wan(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Two answers and Save & Apply: policy and network are there, and nothing is left to type, here or elsewhere."""
    router = start(CONFIG, files={"config/network": NETWORK})
    router.connected()
    person = sit_down(router)
    page = person.page
    person.open("recipes")
    page.locator("[data-recipe=wan2] button").click()
    choose_netflix(person)
    field = page.locator("[data-question=network] input")
    eventually(lambda: page.locator("[data-question=network] option").count() == 3, what="the networks are offered")
    person.type_into(field, "wan3")
    person.sees(re.compile("has no network 'wan3'"))
    person.type_into(field, "wan2")
    person.sees("option ip4table '7701'")
    shown = page.locator("[data-routes] pre").inner_text()
    assert "config rule6 'nfa_wan2_6'" in shown and "option sourcefilter '0'" in shown
    person.shoot("recipe_wan2")
    assert router.config("network") == NETWORK, "nothing is written before the owner says so"
    page.get_by_role("button", name="Create this rule").click()
    person.sees("1 step is left:")
    assert page.locator(".nfa-place pre").count() == 0
    assert router.config("network") == NETWORK
    page.get_by_role("link", name="Open the rule").click()
    page.locator(".modal .button-row button").first.click()
    page.wait_for_selector("#cbi-netify-proc-flow-actions-wan2")
    person.save_and_apply()
    assert "option route 'wan2'" in router.config()
    eventually(lambda: "wan2" in router.ubus("nfa", "status")["actions"], what="the policy in force")
    eventually(lambda: not warned(router), what="nothing is missing")
    assert lacks(router) == []
    written = re.findall(r"(?:config|option) \S+(?: \S+)?", router.config("network"))
    told = re.findall(r"(?:config|option) \S+(?: \S+)?", shown)
    assert set(told) <= set(written) and len(written) - len(told) == len(re.findall("option", NETWORK)) + 1, "no more than that"
    person.open("overview")
    person.sees("No problems.")
    person.content()


def test_the_overview_writes_what_is_missing(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """A target with a route that was made without the recipe is marked, and nothing goes there; what it left is taken out."""
    left = "\nconfig rule 'nfa_lte'\n\toption mark '0x8000/0xc000'\n\toption lookup '7702'\n\toption priority '711'\n"
    router = start(CONFIG + FILMS, files={"config/network": NETWORK + left})
    router.connected()
    assert warned(router)
    person = sit_down(router)
    page = person.page
    person.open("overview")
    person.sees(re.compile("no rule of /etc/config/network sends what is marked 0x4000/0xc000"))
    assert "nfa route apply" not in page.locator("#view").inner_text()
    page.get_by_role("button", name="Set up the routes").click()
    modal = page.locator(".modal")
    modal.get_by_text("option ip4table '7701'").wait_for()
    assert "# deleted: config rule 'nfa_lte'" in modal.inner_text()
    person.shoot("routes")
    modal.get_by_role("button", name="Cancel").click()
    assert router.config("network") == NETWORK + left
    page.get_by_role("button", name="Set up the routes").click()
    with page.expect_navigation(timeout=60000):
        modal.get_by_role("button", name="Write and apply").click()
    eventually(lambda: not warned(router) and lacks(router) == [], what="nothing is missing")
    assert "nfa_lte" not in router.config("network") and "config rule 'nfa_wan2'" in router.config("network")
    person.sees("No problems.")


def test_who_may_not_change_the_network_is_shown_what_is_missing(
    start: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """Who may block an application would be able to turn the whole network round, or would fail after Save & Apply."""
    router = start(CONFIG + FILMS, files={"config/network": NETWORK, "config/rpcd": LOGINS})
    router.connected()
    person = sit_down(router, "viewer")
    page = person.page
    person.open("overview")
    page.get_by_role("button", name="Set up the routes").click()
    modal = page.locator(".modal")
    modal.get_by_text("may not change networks").wait_for()
    assert "option ip4table '7701'" in modal.inner_text()
    assert modal.get_by_role("button", name="Write and apply").is_disabled()
    person.shoot("routes_forbidden")
    modal.get_by_role("button", name="Cancel").click()
    person.open("recipes")
    page.locator("[data-recipe=wan2] button").click()
    choose_netflix(person)
    person.type_into(page.locator("[data-question=network] input"), "lan")
    person.sees("may not change networks")
    page.get_by_role("button", name="Create this rule").click()
    person.sees("2 steps are left:")
    waiting = page.evaluate("() => L.require('uci').then(uci => uci.changes())")
    assert list(waiting) == [PACKAGE]
    values = {"config": "network", "section": "wan2", "values": {"ip4table": "1"}}
    tried = page.evaluate(
        """values => fetch('/ubus/', {
            method: 'POST', headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'call', params: [ L.env.sessionid, 'uci', 'set', values ] })
        }).then(answer => answer.text())""",
        values,
    )
    assert json.loads(tried)["result"] == [6], "rpcd refuses it, whatever the browser sends"
    assert router.config("network") == NETWORK
