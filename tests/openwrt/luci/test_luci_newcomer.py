"""What a newcomer does wrong: names that are taken, things in use, a file that cannot be read, a service that is off."""

from __future__ import annotations

from collections.abc import Callable

from luci_lab import CONFIG as CONFIG_NAME
from luci_lab import Person, Router
from samples import flow

CONFIG = """\
config nfa 'main'
	option enabled '{enabled}'
	option source '{{source}}'

config exemption 'global'
	list exemption "protocol == 'dns';"

config target 'video_set'
	option target_type 'nftset'
	option set_name 'video'
	option managed 'on'

config time_of_day 'evening'
	option time_start '9pm'
	option time_end '23:00'

config action 'films'
	option enabled '{action}'
	list criteria "app == 'netflix';"
	list target 'video_set'
	list time_of_day 'evening'
"""


def config(enabled: str = "1", action: str = "1") -> str:
    return CONFIG.format(enabled=enabled, action=action)


def add(person: Person, label: str, name: str) -> None:
    field = person.page.get_by_label(label)
    person.type_into(field, name)
    row = person.page.locator(".cbi-section-create", has=field)
    row.locator("> .cbi-button-add").click()


def test_a_name_that_is_taken_takes_nothing_over(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(config())
    person = sit_down(router)
    person.open("policies")
    kept, taken = "is reserved", "The name {} is in use"
    refused = {"global": kept, "main": kept, "constructor": kept, "films": taken, "video_set": taken}
    for name, words in refused.items():
        add(person, "Name of a new rule", name)
        person.sees(words.format(name))
        assert person.page.locator("body.modal-overlay-active").count() == 0
    assert person.changes() == []
    person.row("films").get_by_text("9pm (not understood)").wait_for()
    person.shoot("name_taken")
    person.content()


def test_what_is_used_is_deleted_after_a_question(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(config())
    person = sit_down(router)
    page = person.page
    person.open("targets")
    delete = page.locator("#cbi-netify-proc-flow-actions-video_set .cbi-button-remove")
    delete.click()
    person.sees("Rules that use it: films")
    person.shoot("delete_used")
    page.locator(".modal").get_by_role("button", name="Cancel").click()
    assert person.changes() == []
    delete.click()
    page.locator(".modal").get_by_role("button", name="Delete").click()
    page.wait_for_selector("#cbi-netify-proc-flow-actions-video_set", state="detached")
    assert person.changes() == [["remove", "video_set"]]
    person.content()


def test_a_file_that_cannot_be_read_is_said(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(config())
    router.connected()
    path = router.configs / CONFIG_NAME
    path.write_text(path.read_text() + "\nconfig action 'broken\n\toption enabled '1'\n")
    router.ubus("nfa", "reload")
    person = sit_down(router)
    for name in ("policies", "targets", "recipes"):
        person.open(name)
        person.sees("The configuration cannot be read.")
        person.sees("is never closed")
    person.shoot("broken")
    person.open("home")
    person.sees("do not work.")
    person.shoot("broken_home")
    assert person.page.get_by_role("link", name="Open the").count() == 0


def test_a_service_that_is_off_is_switched_on_after_a_question(
    start: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    router = start(config(enabled="0", action="0"))
    person = sit_down(router)
    page = person.page
    person.open("matches")
    person.sees("Switch it on on the page Home.")
    person.open("recipes")
    page.locator("[data-recipe=weak_tls] button").click()
    page.get_by_role("button", name="Create this rule").click()
    person.sees("2 steps are left:")
    person.sees("Flow Actions is switched off")
    person.shoot("recipe_off")
    before = person.changes()
    person.open("home")
    page.get_by_role("button", name="Switch on").click()
    person.sees("waiting to be applied, perhaps from")
    person.shoot("switch_on")
    page.locator(".modal").get_by_role("button", name="Cancel").click()
    assert person.changes() == before
    person.content()


def test_no_policy_is_on(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(config(action="0").replace("9pm", "21:00"))
    router.connected()
    person = sit_down(router)
    person.open("home")
    person.sees("On, but no rule is on")
    person.sees("An hour a day")
    person.shoot("none_on")
    person.content()


def test_an_exemption_goes_where_it_is_seen(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(config().replace("9pm", "0:00").replace("'23:00'", "'24:00'"))
    router.connected()
    router.feed(flow("QUIC", "netify.netflix"))
    person = sit_down(router, size=(390, 844))
    page = person.page
    for who, words in (("global", "no rule touches this"), ("films", "the rule films does not touch this")):
        person.open("matches")
        person.row("netflix").get_by_role("button", name="Why?").click()
        page.get_by_role("button", name="New rule").click()
        person.type_into(page.locator("#nfa-start-name"), "video_set")
        page.get_by_role("button", name="Continue on the page Rules").click()
        page.locator(".modal").get_by_text("The name video_set is in use").wait_for()
        person.shoot("why_name")
        page.locator(".modal").get_by_role("button", name="Cancel").click()
        person.row("netflix").get_by_role("button", name="Why?").click()
        page.get_by_role("button", name="Allow").click()
        page.locator("#nfa-start-for").select_option(who)
        person.shoot("leave_alone")
        page.get_by_role("button", name="Continue on the page Rules").click()
        person.sees(words)
        person.shoot(f"spared_{who}")
    page.locator(".modal [data-tab-active=true] .nfa-chip").first.wait_for()
    person.content()


def test_a_phone(start: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    router = start(config(enabled="0"))
    person = sit_down(router, size=(390, 844))
    for name in ("sets", "matches", "recipes"):
        person.open(name)
        person.shoot(f"phone_{name}")
    person.open("targets")
    person.page.locator("#cbi-netify-proc-flow-actions-video_set .cbi-button-edit").click()
    person.page.wait_for_selector("body.modal-overlay-active .modal .cbi-map")
    person.shoot("phone_target")
    person.content()
