"""The pages Policies, Targets and Recipes in a browser: what a person makes there is what the daemon does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luci_lab import TABLET, TABLET_MAC, Person, Router
from samples import definitions, flow
from waiting import eventually

CONFIG = """\
config nfa 'main'
	option enabled 'yes'
	option source '{source}'

config exemption 'global'
	list exemption "protocol == 'dns';"

config target 'video_set'
	option target_type 'nftset'
	option set_name 'video'
	option managed 'on'

config target 'words'
	option target_type 'log'

config target 'later'
	option target_type 'firewall'
	option limit_up '1Mbit'
	option set_dscp 'ef'
	option ctinfo '0xfc000000/0x1000000'
	option per_device 'yes'

config target 'line2'
	option target_type 'firewall'
	option route 'wan2'
	option route_mark '0x1000/0x1000'
	option fallback '0'

config group 'children'
	option title 'Children of the house'
	list device 'games_console'

config device 'games_console'
	list ip '192.168.1.99'

config time_of_day 'evening'
	list day 'fri'
	option time_start '21:00'

config action 'simple'
	option enabled 'on'
	list criteria "(app=='netflix'  ||  category == 'games') && mac == 02:00:5e:10:01:14;"
	option targets 'words'
	list time_of_day 'evening'

config action 'expert'
	list criteria "detected_hostname == 'rx:img' && !ip_nat;"
	list target 'words'
"""
EDITOR = "body.modal-overlay-active .modal"
PREFIX = "#cbi-netify-proc-flow-actions-"
WIDGET = "widget.cbid.netify-proc-flow-actions"


def edit(person: Person, section: str) -> None:
    """Open the editor of a section."""
    person.page.locator(f"{PREFIX}{section} .cbi-button-edit").click()
    person.page.wait_for_selector(f"{EDITOR} .cbi-map")


def save(person: Person) -> None:
    """Save what is in the editor, which closes then."""
    person.page.locator(f"{EDITOR} .button-row button.important").click()
    person.page.wait_for_selector("body:not(.modal-overlay-active)")


def pick(person: Person, place: str, text: str) -> None:
    """Search a list for a text and take the first that is found."""
    field = person.page.locator(f"{place} input[role=combobox]")
    field.press_sequentially(text)
    if text.isalpha():  # names come from the router, a little later
        person.page.locator(".nfa-list:visible [role=option]").first.wait_for()
    field.press("Enter")


def test_what_is_not_changed_is_not_written(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(CONFIG)
    router.connected()
    person = sit_down(router)
    person.open("policies")
    for section in ("simple", "expert"):
        edit(person, section)
        person.sees("Valid: the daemon understands it.")
        save(person)
    person.open("targets")
    for section in ("video_set", "words", "later", "line2"):
        edit(person, section)
        save(person)
    assert person.changes() == []
    person.content()


def test_a_policy_of_choices_and_one_that_is_written(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(CONFIG)
    router.connected()
    person = sit_down(router)
    page = person.page
    person.open("policies")
    edit(person, "simple")
    page.locator(f"{EDITOR} summary").click()
    pick(person, f"{EDITOR} [data-kind=ports]", "443, 6881-6889")
    save(person)
    changed = person.changes()[-1]
    assert changed[:3] == ["list-add", "simple", "criteria"]
    assert changed[3].startswith("(app == 'netflix' || category == 'games') && mac == 02:00:5E:10:01:14 && ")
    assert changed[3].endswith(" && (other_port == 443 || (other_port >= 6881 && other_port <= 6889));")

    edit(person, "expert")
    page.locator(f"{EDITOR} textarea").fill("aplication == 'zoom';")
    person.sees("Unknown attribute 'aplication'.")
    assert "\n    ^" in page.locator(f"{EDITOR} .nfa-checked pre").first.inner_text()
    before = person.changes()
    page.locator(f"{EDITOR} .button-row button.important").click()
    person.sees("Unknown attribute 'aplication'.")
    assert person.changes() == before
    page.locator(f"{EDITOR} textarea").fill("application == 'zoom';")
    page.locator(f"{EDITOR} input[data-simple=true]").click()
    page.locator(f"{EDITOR} summary").click()
    person.sees("app == 'zoom';")
    save(person)

    # A row's switch holds although another row is edited after it; rows are moved by buttons too.
    page.locator(f"{PREFIX}expert input[type=checkbox]").first.uncheck()
    page.get_by_label("Try expert earlier").click()
    edit(person, "simple")
    save(person)
    person.save_and_apply()
    text = router.config()
    assert text.index("config action 'expert'") < text.index("config action 'simple'")
    eventually(lambda: not router.ubus("nfa", "status")["actions"]["expert"]["enabled"], what="the policy is off")
    person.content()


def test_half_a_name_is_not_a_choice(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """A policy on an application "youtu" would match nothing, without a word."""
    router = start(CONFIG)
    router.connected()
    router.feed(definitions())
    person = sit_down(router)
    person.open("policies")
    edit(person, "simple")
    field = person.page.locator(f"{EDITOR} [data-kind=what] input[role=combobox]")
    field.press_sequentially("youtu")
    field.press("Tab")
    person.sees('"youtu" is not added yet')
    person.page.locator(f"{EDITOR} .button-row button.important").click()
    person.page.wait_for_timeout(1000)
    assert field.is_visible() and field.input_value() == "youtu"
    assert person.changes() == []
    field.fill("youtube")
    field.press("Tab")
    person.page.locator(f"{EDITOR} [data-kind=what] .nfa-chip").get_by_text("youtube").wait_for()
    person.page.locator(f"{EDITOR} [data-kind=networks] input[role=combobox]").press_sequentially("192")
    person.page.locator(f"{EDITOR} .nfa-list:visible [data-value='192.168.1.0/24']").wait_for()
    person.page.keyboard.press("Enter")
    save(person)
    assert "local_ip == 192.168.1.0/24" in person.changes()[-1][3]
    person.content()


def test_a_recipe_makes_a_policy_that_works(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """A few answers, and packets are stopped: nothing to paste, no page but Recipes and Policies."""
    router = start(CONFIG)
    router.connected()
    router.home(TABLET)
    film = flow(application="netify.youtube", other="203.0.113.10")
    person = sit_down(router)
    page = person.page
    person.open("recipes")
    page.locator("[data-recipe=bedtime] button").click()
    pick(person, "[data-question=apps]", "youtu")
    pick(person, "[data-question=devices]", "table")
    pick(person, "[data-question=devices]", "child")
    for name, value in (("from", "0:00"), ("until", "24:00")):
        person.type_into(page.locator(f"[data-question={name}] input"), value)
    person.sees("config action 'bedtime'")
    person.shoot("recipe")
    page.get_by_role("button", name="Create this rule").click()
    person.sees("1 step is left:")
    assert page.locator(".nfa-place .nfa-copy").count() == 0
    person.shoot("recipe_done")
    page.get_by_role("link", name="Open the rule").click()
    page.locator(f"{EDITOR} .button-row button").first.click()
    page.wait_for_selector(f"{PREFIX}bedtime")
    person.save_and_apply()
    written = router.config()
    assert f"list mac '{TABLET_MAC.upper()}'" in written
    assert "(local_ip == @bedtime_device_1 || local_ip == @children);" in written
    eventually(lambda: "bedtime" in router.ubus("nfa", "status")["actions"], what="the policy in force")
    assert router.connect(film) == "lost"
    router.feed(film)
    eventually(lambda: router.connect(film) == "refused", what="the connection is stopped")
    cell = page.locator("[data-nfa-action=bedtime]")
    eventually(lambda: cell.locator("[data-hits]").get_attribute("data-hits") == "1", what="the hit is shown")
    eventually(lambda: "1 packet stopped" in cell.inner_text(), what="the packet is shown")
    person.open("targets")
    row = person.row("bedtime_stop")
    assert "1 packet stopped, 60 bytes" in row.inner_text() and "reject" in row.inner_text()
    person.content()


def test_a_device_goes_offline(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """The recipe says everything of the device: also what netifyd has not reported yet, and nothing of other devices."""
    router = start(CONFIG)
    router.connected()
    router.home(TABLET, "192.168.1.21")
    first, unseen = flow(other="203.0.113.10"), flow(other="203.0.113.11", local_port=50001)
    person = sit_down(router)
    page = person.page
    person.open("recipes")
    page.locator("[data-recipe=offline] button").click()
    pick(person, "[data-question=devices]", "table")
    for name, value in (("from", "0:00"), ("until", "24:00")):
        person.type_into(page.locator(f"[data-question={name}] input"), value)
    page.get_by_role("button", name="Create this rule").click()
    page.get_by_role("link", name="Open the rule").click()
    page.locator(f"{EDITOR} .button-row button").first.click()
    page.wait_for_selector(f"{PREFIX}offline")
    person.save_and_apply()
    eventually(lambda: "offline" in router.ubus("nfa", "status")["actions"], what="the policy in force")
    assert router.connect(unseen) == "lost"
    router.feed(first)
    eventually(lambda: router.connect(first) == "refused", what="the device is stopped")
    assert router.connect(unseen) == "refused"
    assert router.connect(flow(local="192.168.1.21", other="203.0.113.11")) == "lost"
    cell = page.locator("[data-nfa-action=offline]")
    eventually(lambda: "2 packets stopped" in cell.inner_text(), what="the packets are shown")
    page.locator(f"{PREFIX}offline input[type=checkbox]").first.uncheck()
    person.save_and_apply()
    eventually(lambda: router.connect(unseen) == "lost", what="the device is online again")
    person.content()


def new_target(person: Person, name: str) -> None:
    """Add a target: its editor opens."""
    person.open("targets")
    person.page.get_by_label("Name of a new target").press_sequentially(name)
    person.page.get_by_role("button", name="Add a target").click()
    person.page.wait_for_selector(f"{EDITOR} .cbi-map")


def test_a_new_target_decides_packets(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Whoever adds a target means packets: a set, which does nothing by itself, has to be asked for."""
    router = start(CONFIG)
    router.connected()
    person = sit_down(router)
    page = person.page
    new_target(person, "stop")

    def field(name: str) -> Any:
        return page.locator(f"{EDITOR} :is([id='{WIDGET}.stop.{name}'], [data-widget-id='{WIDGET}.stop.{name}'])")

    assert field("target_type").input_value() == "firewall"
    page.locator(f"{EDITOR} .button-row button.important").click()
    person.sees("Choose what becomes of the packets")
    field("firewall_verdict").select_option("reject")
    person.shoot("target_block")
    person.type_into(field("firewall_limit"), "2mbps")
    person.sees("Expected: a number and a unit")
    person.type_into(field("firewall_limit"), "2mbit")
    person.sees("a block stands alone")
    field("firewall_verdict").select_option("")
    field("firewall_per_device").check()
    page.locator(f"{EDITOR} .cbi-tabmenu").get_by_role("link", name="More").click()
    assert not field("firewall_ctinfo").is_visible() and not field("firewall_fallback").is_visible()
    person.shoot("target_more")
    save(person)
    assert [change[2:] for change in person.changes() if change[1] == "stop"][-3:] == [
        ["target_type", "firewall"], ["limit", "2mbit"], ["per_device", "1"],
    ]  # fmt: skip
    person.row("stop").get_by_text("at most 2mbit, for each device").wait_for()
    person.shoot("targets")
    person.save_and_apply()
    eventually(lambda: router.ubus("nfa", "status")["targets"].get("stop"), what="the daemon has it")
    person.content()


def test_the_daemon_may_be_away(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(CONFIG)
    router.connected()
    person = sit_down(router)
    person.open("policies")
    router.service("stop")
    person.sees("the daemon does not answer")
    edit(person, "expert")
    person.sees("The check failed")
    person.page.locator(f"{EDITOR} textarea").fill("app == 'zoom';")
    save(person)
    assert person.changes()[-1] == ["list-add", "expert", "criteria", "app == 'zoom';"]
    person.content()


def test_names_that_strangers_chose_stay_text(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    words = f"detected_hostname == 'rx:{evil}';"
    config = CONFIG.replace("detected_hostname == 'rx:img' && !ip_nat;", words)
    router = start(config, hosts={TABLET_MAC.upper(): {"name": evil, "ipaddrs": [], "ip6addrs": []}})
    router.connected()
    person = sit_down(router)
    person.open("policies")
    person.row("simple").get_by_text(evil).wait_for()
    person.row("expert").get_by_text(words).wait_for()
    edit(person, "simple")
    person.page.locator(f"{EDITOR} .nfa-chip").get_by_text(evil).wait_for()
    save(person)
    edit(person, "expert")
    person.page.locator(f"{EDITOR} textarea").fill(f"{evil} == 'x';")
    person.page.locator(f"{EDITOR} .nfa-checked pre").get_by_text(evil).wait_for()
    assert person.page.locator("img[src=x]").count() == 0
    person.content()


def test_who_may_look_only_changes_nothing(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(CONFIG)
    router.connected()
    person = sit_down(router, "viewer")
    person.open("policies")
    edit(person, "simple")
    person.sees("Valid: the daemon understands it.")
    fields = person.page.locator(f"{EDITOR} :is(input[type=text], input[type=checkbox], textarea, select)")
    assert fields.count() > 10
    assert fields.evaluate_all("fields => fields.filter(field => !field.disabled).length") == 0
    person.content()
