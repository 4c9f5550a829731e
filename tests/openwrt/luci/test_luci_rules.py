"""The page Rules as an owner of a router uses it: one dialog, and the packets do what the sentence says."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luci_lab import CONFIG as PACKAGE
from luci_lab import ROOT, TABLET, Person, Router
from samples import definitions, flow, hello
from waiting import eventually

EDITOR = "body.modal-overlay-active .modal"
PREFIX = f"#cbi-{PACKAGE}-"
MOST_CLICKS = 8
"""What the jobs of an owner may take, from the page to the packets. Typing a name and Enter are no clicks."""


def _zone() -> str:
    """A zone where it is 23 o'clock now, whenever the test runs. POSIX counts to the west."""
    ahead = 23 - time.gmtime().tm_hour
    return f"TST{-ahead if ahead <= 12 else 24 - ahead}"


CONFIG = f"""\
config nfa 'main'
	option source '{{source}}'
	option timezone '{_zone()}'

config exemption 'global'
	list exemption "protocol == 'dns';"
"""
GAMES = """
config target 'stop'
	option target_type 'firewall'
	option verdict 'reject'

config target 'films_limit'
	option target_type 'firewall'
	option limit '2mbit'

config time_of_day 'evening'
	option time_start '21:00'
	option time_end '06:30'

config budget 'hour'
	option time '1h'

config action 'films'
	list criteria "app == 'netify.youtube' && mac == 02:00:5E:10:01:14;"
	list target 'stop'
	list time_of_day 'evening'

config action 'slowly'
	list criteria "app == 'netify.netflix';"
	list target 'films_limit'
	option budget 'hour'
	list exemption '192.168.1.21'
"""


class Clicks:
    """Somebody who clicks, and counts."""

    def __init__(self, person: Person) -> None:
        self.page = person.page
        self.count = 0

    def __call__(self, place: Any) -> None:
        place.click()
        self.count += 1


@pytest.fixture
def start_with(start: Callable[..., Router]) -> Callable[..., Router]:
    """A router whose daemon knows netifyd's names."""

    def make(config: str) -> Router:
        router = start(config)
        router.connected()
        router.feed(hello(), definitions())
        return router

    return make


def field(person: Person, name: str) -> Any:
    return person.page.locator(EDITOR).get_by_role("combobox", name=name, exact=True)


def pick(person: Person, click: Clicks, name: str, text: str) -> None:
    """One click into a field, then a name and Enter."""
    click(field(person, name))
    choose(person, name, text)


def choose(person: Person, name: str, text: str) -> None:
    """Another one in the same field."""
    field(person, name).press_sequentially(text)
    person.page.locator(".nfa-list:visible [role=option]").first.wait_for()
    field(person, name).press("Enter")


WHAT = "Applications, protocols and categories"


def in_force(router: Router, rule: str) -> None:
    eventually(lambda: router.ubus("nfa", "status")["actions"].get(rule, {}).get("active"), what="the rule in force")


def wait_for(router: Router, record: dict[str, Any], answer: str) -> None:
    eventually(lambda: router.connect(record) == answer, what=f"a connection that is {answer}")


def test_youtube_is_blocked_at_night_in_one_dialog(start_with: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """The first rule by hand needed three pages, and a target called reject; a name with a space was refused."""
    router = start_with(CONFIG)
    router.home(TABLET, "192.168.1.21", "192.168.1.22")
    film, other = (
        flow(application="netify.youtube", other="203.0.113.10"),
        flow(application="netify.netflix", other="203.0.113.11"),
    )
    laptop = flow(application="netify.youtube", local="192.168.1.21", other="203.0.113.12")
    person = sit_down(router)
    page, click = person.page, Clicks(person)
    person.open("policies")
    page.get_by_label("Name of a new rule").press_sequentially("Kids videos")
    click(page.get_by_role("button", name="Add a rule"))
    person.sees("Rule Kids_videos")
    assert page.locator(EDITOR).get_by_label("What to do", exact=True).input_value() == "block"
    pick(person, click, WHAT, "youtube")
    pick(person, click, "Devices", "tablet")
    click(page.locator(EDITOR).get_by_role("button", name="New hours"))
    click(page.locator(EDITOR).get_by_role("button", name="Save", exact=True))
    person.row("Block YouTube \u00b7 for tablet \u00b7 every day, 21:00 to 06:30 (next day)")
    person.save_and_apply()
    assert click.count + 1 <= MOST_CLICKS
    in_force(router, "Kids_videos")
    written = router.config()
    assert (
        "config target 'block'" in written
        and "option verdict 'reject'" in written
        and "config time_of_day 'Kids_videos_hours'" in written
    )
    assert [router.connect(record) for record in (film, other, laptop)] == ["lost"] * 3
    router.feed(film, other, laptop)
    wait_for(router, film, "refused")
    assert [router.connect(record) for record in (other, laptop)] == ["lost"] * 2
    person.content()


def test_a_category_but_one_application_for_two_devices(
    start_with: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """Applications could not be exempt: what is in a category was blocked with all of it, or not at all."""
    router = start_with(CONFIG)
    router.home(TABLET, "192.168.1.21", "192.168.1.22")
    addresses = (TABLET, "192.168.1.21", "192.168.1.22")
    tube = [
        flow(application="netify.youtube", local=local, other=f"203.0.113.{number}")
        for number, local in enumerate(addresses, 10)
    ]
    netflix = [
        flow(application="netify.netflix", local=local, other=f"203.0.113.{number}")
        for number, local in enumerate(addresses, 20)
    ]
    person = sit_down(router)
    page, click = person.page, Clicks(person)
    person.open("policies")
    click(page.get_by_role("button", name="Add a rule"))
    person.sees("Rule rule")
    pick(person, click, WHAT, "streaming")
    assert page.locator(f"{EDITOR} [data-kind=what] .nfa-chip").inner_text().startswith("Streaming media")
    pick(person, click, "Devices", "tablet")
    choose(person, "Devices", "laptop")
    pick(person, click, "Except", "netflix")
    page.locator(f"{EDITOR} .nfa-chip").get_by_text("Netflix", exact=True).wait_for()
    click(page.locator(EDITOR).get_by_role("button", name="Save", exact=True))
    person.row("Block Streaming media \u00b7 for tablet, laptop \u00b7 except Netflix")
    person.save_and_apply()
    assert click.count + 1 <= MOST_CLICKS
    in_force(router, "rule")
    assert {router.connect(record) for record in (*tube, *netflix)} == {"lost"}
    router.feed(*tube, *netflix)
    wait_for(router, tube[0], "refused")
    wait_for(router, tube[1], "refused")
    assert [router.connect(record) for record in (tube[2], *netflix)] == ["lost"] * 4
    person.content()


def test_what_is_chosen_is_the_target_that_is_written(
    start_with: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """Slow down, and after an hour a day: the daemon reads what the dialog writes; the rule that blocked keeps its target."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router)
    page = person.page
    person.open("policies#edit=films")
    kind = page.locator(EDITOR).get_by_label("What to do", exact=True)
    kind.select_option("slow")
    rate = page.locator(EDITOR).get_by_label("How much may pass in a second, in each direction")
    person.type_into(rate, "fast")
    page.locator(EDITOR).get_by_role("button", name="Save", exact=True).click()
    page.locator(f"{EDITOR} .nfa-problem").get_by_text("Expected: a number and a unit").wait_for()
    person.type_into(rate, "3mbit")
    page.locator(EDITOR).get_by_label("Acts", exact=True).select_option(label="after some time or data a day")
    person.type_into(page.locator(EDITOR).get_by_label("Time a day, for each device"), "45m")
    page.locator(EDITOR).get_by_role("button", name="Save", exact=True).click()
    person.row(
        "Slow down YouTube to 3 Mbit/s \u00b7 for tablet \u00b7 every day, 21:00 to 06:30 (next day) \u00b7 after 45 min a day"
    )
    person.save_and_apply()
    eventually(lambda: router.ubus("nfa", "status")["actions"]["films"]["budget"] == "films_budget", what="the budget in force")
    status = router.ubus("nfa", "status")
    assert status["policy"]["errors"] == 0 and status["actions"]["films"]["targets"] == ["films_limit_2"]
    written = router.config()
    assert "option limit '3mbit'" in written and "option time '45m'" in written and "option verdict 'reject'" in written
    person.content()


def test_changes_are_not_thrown_away_without_a_question(
    start_with: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """A link in the dialog, or Dismiss, ended the work without a word."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router)
    page = person.page
    person.open("policies#edit=films")
    dismiss = page.locator(EDITOR).get_by_role("button", name="Dismiss")
    person.sees("Valid: the daemon understands it.")
    dismiss.click()
    page.wait_for_selector("body:not(.modal-overlay-active)")
    page.locator(f"{PREFIX}films .cbi-button-edit").click()
    choose(person, WHAT, "netflix")
    page.keyboard.press("Escape")
    person.sees("What you changed here is not saved.")
    person.shoot("rules_leave")
    page.get_by_role("button", name="Keep editing").click()
    page.locator(f"{EDITOR} .nfa-chip").get_by_text("Netflix").wait_for()
    dismiss.click()
    page.get_by_role("button", name="Discard changes").click()
    page.wait_for_selector("body:not(.modal-overlay-active)")
    assert person.changes() == []
    person.content()


def test_a_rule_pauses_and_goes_on(start_with: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """Half an hour of peace needed a command line, or the rule switched off and forgotten."""
    router = start_with(CONFIG + GAMES)
    router.home(TABLET)
    film = flow(application="netify.youtube", other="203.0.113.10")
    person = sit_down(router)
    page = person.page
    person.open("policies")
    router.connect(film)
    router.feed(film)
    wait_for(router, film, "refused")
    page.get_by_role("button", name="Pause films").click()
    person.shoot("rules_pause")
    page.locator(EDITOR).get_by_role("button", name="30 minutes").click()
    cell = page.locator("[data-nfa-action=films]")
    cell.get_by_text(re.compile(r"paused until 23:\d\d|paused until \w+ 00:\d\d")).wait_for()
    assert router.connect(film) == "lost"
    person.shoot("rules_paused")
    page.get_by_role("button", name="Resume films").click()
    page.get_by_role("button", name="Pause films").wait_for()
    wait_for(router, film, "refused")
    page.get_by_role("button", name="+30 min of hour").click()
    person.sees("all have everything left")
    page.get_by_role("button", name="Close").click()
    person.content()


def test_a_rule_is_duplicated_and_deleted_with_what_belongs_to_it(
    start_with: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """A deleted rule left its target, hours and budget behind."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router)
    page = person.page
    person.open("policies")
    page.get_by_role("button", name="Duplicate films").click()
    person.sees("Rule films_2")
    page.locator(EDITOR).get_by_role("button", name="Save", exact=True).click()
    person.row("films_2")
    page.locator(f"{PREFIX}films .cbi-button-remove").click()
    person.sees("Nothing else belongs to it.")
    page.locator(EDITOR).get_by_role("button", name="Cancel").click()
    page.locator(f"{PREFIX}slowly .cbi-button-remove").click()
    person.sees("films_limit (target)")
    person.shoot("rules_delete")
    page.locator(EDITOR).get_by_role("button", name="Delete").click()
    page.wait_for_selector(f"{PREFIX}slowly", state="detached")
    removed = [change[1] for change in person.changes() if change[0] == "remove"]
    assert sorted(removed) == ["films_limit", "hour", "slowly"]
    person.save_and_apply()
    assert "films_2" in router.config() and "films_limit" not in router.config()
    person.content()


CONTRAST = """places => {
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, index) => sum + v * [0.2126, 0.7152, 0.0722][index], 0);
    return places.map(place => {
        let ground = place, opacity = 1;
        for (let up = place; up; up = up.parentElement)
            opacity *= Number(getComputedStyle(up).opacity);
        while (ground && (rgb(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0)
            ground = ground.parentElement;
        const back = rgb(ground ? getComputedStyle(ground).backgroundColor : 'rgb(255,255,255)');
        const mixed = (v, index) => v * opacity + back[index] * (1 - opacity);
        const front = rgb(getComputedStyle(place).color).slice(0, 3).map(mixed);
        const [one, other] = [light(front), light(back)].sort((a, b) => b - a);
        return [place.textContent.slice(0, 40), (one + 0.05) / (other + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_chosen_can_be_read(start_with: Callable[..., Router], sit_down: Callable[..., Person], scheme: str) -> None:
    """Chips had a contrast of 3.95, texts in lists of 2.62; 4.5 is what eyes need. Errors looked like help."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router)
    page = person.page
    page.emulate_media(color_scheme=scheme)
    person.open("policies#edit=films")
    person.sees("Valid: the daemon understands it.")
    field(person, WHAT).press_sequentially("netfli")
    page.locator(".nfa-list:visible [role=option]").first.wait_for()
    choice = ".nfa-list:not(.hidden) li:not([aria-selected=true])"
    places = page.locator(f"{EDITOR} :is(.nfa-chip span, {choice}, {choice} small)")
    field(person, WHAT).press("Tab")
    error = page.locator(f"{EDITOR} .nfa-problem:not(:empty)")
    error.first.wait_for()
    found = places.evaluate_all(CONTRAST) + error.evaluate_all(CONTRAST)
    field(person, "Devices").focus()
    page.locator(".nfa-list:visible [role=option]").first.wait_for()
    found += places.evaluate_all(CONTRAST)
    assert len(found) > 4
    assert not [one for one in found if one[1] < 4.5]
    assert error.first.evaluate("node => getComputedStyle(node).borderLeftWidth") == "4px"


AXE = Path(os.environ.get("NFA_NODE", ROOT / ".venv/node")) / "node_modules/axe-core/axe.min.js"
FAULTS = """place => axe.run(place).then(found => found.violations.flatMap(rule => rule.nodes.map(node =>
    `${rule.id}: ${node.target} ${node.any.concat(node.all).map(one => one.message).join('; ')}`)))"""


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe-core; with node and npm, make test installs it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_and_use_it(start_with: Callable[..., Router], sit_down: Callable[..., Person], scheme: str) -> None:
    """Who sees badly, or has no mouse, could not tell the fields of the dialog apart."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router)
    page = person.page
    page.emulate_media(color_scheme=scheme)
    person.open("policies")
    page.get_by_role("button", name="Pause films").wait_for()
    page.add_script_tag(path=str(AXE))
    faults = page.evaluate(FAULTS, "#view")
    page.locator(f"{PREFIX}films .cbi-button-edit").click()
    page.locator(EDITOR).get_by_role("button", name="New hours").click()
    page.locator(EDITOR).get_by_label("Acts", exact=True).select_option(label="after some time or data a day")
    page.locator(EDITOR).get_by_text("Valid: the daemon understands it.").wait_for()
    person.shoot(f"rules_dialog_{scheme}")
    faults += page.evaluate(FAULTS, ".modal")
    assert faults == [], "\n".join(faults)


def test_a_phone_has_one_column(start_with: Callable[..., Router], sit_down: Callable[..., Person]) -> None:
    """A page that scrolls sideways hides its buttons."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router, size=(390, 844))
    page = person.page
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    person.open("policies")
    person.row("Block YouTube")
    assert page.evaluate(wide) <= 0
    person.shoot("rules_phone")
    page.locator(f"{PREFIX}films .cbi-button-edit").click()
    page.locator(EDITOR).get_by_role("button", name="New hours").click()
    modal = page.locator(EDITOR)
    assert page.evaluate(wide) <= 0 and modal.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    person.shoot("rules_phone_dialog")


def test_who_may_look_only_sees_rules_and_changes_none(
    start_with: Callable[..., Router], sit_down: Callable[..., Person]
) -> None:
    """A login for looking could pause what protects the house."""
    router = start_with(CONFIG + GAMES)
    person = sit_down(router, "viewer")
    person.open("policies")
    person.row("Slow down Netflix to 2 Mbit/s \u00b7 after 1 h a day \u00b7 except laptop")
    person.page.get_by_role("button", name="Pause films").wait_for()
    buttons = person.page.locator(f"{PREFIX}films button:enabled")
    assert [text.strip() for text in buttons.all_inner_texts() if text.strip() not in ("Edit", "\u2630")] == []
    person.content()
